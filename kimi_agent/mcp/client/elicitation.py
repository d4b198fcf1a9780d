"""Elicitation: a server asks the user for something, by a form or by a page that the user is to visit."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import mcp_types as types

from kimi_agent.redact import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Elicitation:
    """What a server asks the user.

    Attributes:
        server: its name.
        message: its words.
        schema: of the values that it wants, a flat JSON Schema of type object; None in mode "url".
        url: the page that the user is to visit; None in mode "form". Show where it leads, and open it only if the user agrees.
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


@dataclass(frozen=True, slots=True)
class Questioner:
    """Brings a server's questions to the user, and the answers back."""

    server: str
    ask: Elicit

    async def answer(self, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData:
        """The user's answer; one that does not fit the server's own schema is no answer."""
        question = _question(self.server, params)
        try:
            said = await self.ask(question)
        except Exception as e:
            log.warning("the elicitation callback for the MCP server %s failed", self.server, exc_info=e)
            return types.ElicitResult(action="cancel")
        if said is None or said is False:
            return types.ElicitResult(action="cancel" if said is None else "decline")
        if question.schema is None:
            return types.ElicitResult(action="accept")
        values = with_defaults(question.schema, {} if said is True else said)
        if problem := misfit(question.schema, values):
            log.warning("the answer to the MCP server %s does not fit what it asked for: %s", self.server, problem)
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


def misfit(schema: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """What is wrong with the values, "" if nothing is."""
    from kimi_agent.tooling.json_checker import checker, dialect_of  # slow to import, and seldom needed

    try:
        problems = checker(dict(schema), dialect_of(dict(schema)), follows_all=True)(dict(values))
    except Exception:  # a schema that cannot be used: what it asks for is between the server and itself
        return ""
    return "; ".join(error.message for error in problems)
