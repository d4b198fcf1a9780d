"""Elicitation: a server asks the user for something, by a form or by a page that the user is to visit."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import mcp_types as types

from kimi_agent.redact import get_logger

log = get_logger(__name__)
MOST_OPEN = 16  # questions of one server that may wait for their user at a time


@dataclass(frozen=True, slots=True)
class Elicitation:
    """What a server asks the user.

    Attributes:
        server: its name.
        message: its words.
        schema: of the values that it wants, a flat JSON Schema of type object; None in mode "url".
        url: the page that the user is to visit, with http or https; None in mode "form". Show where it leads (`host_of`), and open
            it only if the user agrees.
        mode: "form" or "url".
    """

    server: str
    message: str
    schema: Mapping[str, Any] | None = None
    url: str | None = None
    mode: Literal["form", "url"] = "form"


Elicit: TypeAlias = Callable[[Elicitation], Awaitable[Mapping[str, Any] | bool | None]]
"""The values for a form (`{}` or True where nothing is to be filled in), True for a page that the user goes to, False where they
decline, None where they do not answer."""


@dataclass(slots=True)
class Questioner:
    """Brings a server's questions to the user, and the answers back."""

    server: str
    ask: Elicit
    _open: int = field(default=0, init=False)

    async def answer(self, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData:
        """The user's answer; one that does not fit the server's own schema is no answer."""
        question = _question(self.server, params)
        if question.url is not None and not host_of(question.url):
            log.warning("the MCP server %s wanted its user to visit an address that nobody can judge: it was declined", self.server)
            return types.ElicitResult(action="decline")
        if self._open >= MOST_OPEN:
            return types.ErrorData(code=types.INVALID_REQUEST, message=f"{MOST_OPEN} questions wait for the user already")
        self._open += 1
        try:
            said = await self.ask(question)
        except Exception as e:
            log.warning("the elicitation callback for the MCP server %s failed", self.server, exc_info=e)
            return types.ElicitResult(action="cancel")
        finally:
            self._open -= 1
        return self._result(question, said)

    def _result(self, question: Elicitation, said: Mapping[str, Any] | bool | None) -> types.ElicitResult:
        if said is None or said is False:
            return types.ElicitResult(action="cancel" if said is None else "decline")
        if question.schema is None:
            return types.ElicitResult(action="accept")
        values = with_defaults(question.schema, {} if said is True else said)
        if problems := _misfits(question.schema, values):
            fields = ", ".join(sorted({field for field, _ in problems}))  # what is wrong would tell what the user typed
            log.warning("the answer to the MCP server %s does not fit what it asked for: %s", self.server, fields)
            return types.ElicitResult(action="cancel")
        return types.ElicitResult(action="accept", content=values)


def _question(server: str, params: types.ElicitRequestParams) -> Elicitation:
    if isinstance(params, types.ElicitRequestURLParams):
        return Elicitation(server, params.message, url=params.url, mode="url")
    return Elicitation(server, params.message, schema=params.requested_schema)


def with_defaults(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and the schema's defaults for what they leave out (SEP-1034)."""
    properties = cast(Mapping[str, Mapping[str, Any]], schema.get("properties", {}))
    defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
    return {**defaults, **values}


def host_of(url: str) -> str:
    """The host that a page is on, as a person can judge it: letters beyond ASCII as "xn--…", which no other host looks like. "" for
    an address that they could not judge or that is no page: another scheme than http and https, a user's name before the host, a
    backslash, or characters that are not seen."""
    if not url.isprintable() or any(c.isspace() or c == "\\" for c in url):
        return ""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc or not parts.hostname:
            return ""
        return parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    except ValueError:  # of brackets, and of names that no host can have
        return ""


def misfit(schema: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """What is wrong with the values, which the text holds; "" if nothing is."""
    return "; ".join(problem for _, problem in _misfits(schema, values))


def _misfits(schema: Mapping[str, Any], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each with where it is: "$.age", or "$" for all of the values."""
    from kimi_agent.tooling.json_checker import checker, dialect_of  # slow to import, and seldom needed

    try:
        problems = checker(dict(schema), dialect_of(dict(schema)), follows_all=True)(dict(values))
        return [(error.json_path, error.message) for error in problems]
    except Exception:  # a schema that cannot be used: what it asks for is between the server and itself
        return []
