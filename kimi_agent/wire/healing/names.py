"""Whose call it is: names as models and engines write them → the tools' own."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kimi_agent.wire.native.k2_calls import name_in

# Ids of other families are random, so they hold digits; a name such as `call_police` is a name.
_NO_NAME = re.compile(r"\d*|(?:call|toolu|chatcmpl-tool|fc)[_-]{1,2}(?=(?:[A-Za-z-]*\d){2})[A-Za-z0-9-]{4,}|[0-9a-fA-F-]{16,}")


class Tool(Protocol):
    """A tool on offer; `kimi_agent.Tool` is one."""

    @property
    def parameters(self) -> Mapping[str, Any]: ...


class Names:
    """The tools on offer.

    Args:
        tools: by the tools' own names.
        from_wire: names that stand for a tool on this wire → its own; asked once, and only when a name is not known.
        is_echo: whether a user or a tool has written a call of this tool with these arguments: repeating it makes no call.
        others: the same of tools that are not on offer and may be called all the same; asked last.
    """

    __slots__ = ("_ask", "_from_wire", "_others", "_tools", "is_echo")

    def __init__(
        self,
        tools: Mapping[str, Tool],
        from_wire: Callable[[], Mapping[str, str]] | None = None,
        is_echo: Callable[[str, str], bool] = lambda name, arguments: False,
        others: Callable[[], Mapping[str, str]] = dict[str, str],
    ) -> None:
        self._tools, self._others = tools, others
        self.is_echo = is_echo
        self._ask = from_wire
        self._from_wire: Mapping[str, str] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    @property
    def written(self) -> list[str]:
        """All spellings that stand for a tool."""
        return list({*self._tools, *self._wire})

    def own(self, name: str) -> str | None:
        """The tool's own name, or None where there is no such tool. Some vendors leave K2's `functions.` and counter in a name."""
        if name in self._tools:
            return name
        if (own := self._wire.get(name)) is not None:
            return own
        bare = name_in(name)
        if bare in self._tools:
            return bare
        if (own := self._wire.get(bare)) is not None:
            return own
        others = self._others()
        return others.get(name) or others.get(bare)

    def nameless(self, name: str) -> bool:
        """Whether this is no name at all: empty, a counter, or an id of another family (`call_ab12`)."""
        return bool(_NO_NAME.fullmatch(name)) and self.own(name) is None

    def by_arguments(self, arguments: str) -> str | None:
        """The only tool that takes these arguments: all that it requires is there, and nothing that it does not know.

        SGLang does so for bare counters, of which K2's ids sometimes consist; with two that fit, nobody knows."""
        try:
            given = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
        if not isinstance(given, dict) or not given:  # no arguments say nothing
            return None
        keys: set[str] = set(given)  # pyright: ignore[reportUnknownArgumentType]
        fits = [name for name, tool in self._tools.items() if _fits(tool.parameters, keys)]
        return fits[0] if len(fits) == 1 else None

    @property
    def _wire(self) -> Mapping[str, str]:
        if self._from_wire is None:
            self._from_wire = {} if self._ask is None else self._ask()
        return self._from_wire


def _fits(schema: Mapping[str, Any], keys: set[str]) -> bool:
    known: set[str] = set(schema.get("properties") or ())
    required: set[str] = set(schema.get("required") or ())
    return required <= keys <= known
