"""One call of a server's tool: asked, its pages visited if it wants some, its answer shown."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp import MCPError, UrlElicitationRequiredError
from mcp_types import URL_ELICITATION_REQUIRED

from kimi_agent.mcp.client.calls import request
from kimi_agent.mcp.client.connection import Connection, Live
from kimi_agent.mcp.client.elicitation import misfit
from kimi_agent.mcp.client.heard import listening
from kimi_agent.mcp.client.inflight import Flights
from kimi_agent.mcp.client.results import tool_result
from kimi_agent.redact import redact
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult

_ROUNDS = 3  # times that a server may want pages to be visited before it does what it was asked
Visit = Callable[[types.ElicitRequestURLParams], Awaitable[bool]]
"""Brings the user to a page; whether they went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequest:
    """What is called, and how.

    Attributes:
        name: the server's own name of the tool.
        context: of the run's call; None where no run made it.
        repeatable: whether it may be sent again although the server may have seen it.
        timeout: seconds; None: no bound of its own.
        schema: of the structured content that the server promised, if it did.
    """

    name: str
    arguments: dict[str, Any]
    context: RunContext[Any] | None = None
    repeatable: bool = False
    timeout: float | None = None
    schema: Mapping[str, Any] | None = None


async def call_tool(connection: Connection, flights: Flights, call: ToolRequest, *, server: str, visit: Visit) -> ToolResult:
    """What the tool says. Raises as `request`."""

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.anything = True
        if call.context is not None:
            call.context.report(redact(message or ""), progress, total)

    async def ask(live: Live) -> types.CallToolResult:
        if live.before_calls is not None:
            await live.before_calls()
        return await live.client.call_tool(call.name, call.arguments, progress_callback=progress)

    with flights.one(call.context), listening() as heard:
        for _ in range(_ROUNDS):
            try:
                answer = await request(
                    connection,
                    ask,
                    name=server,
                    timeout=call.timeout,
                    repeatable=call.repeatable,
                    waits=lambda: heard.questions > 0 or connection.waits_for_person(),
                    is_heard=lambda: heard.anything,
                )
                return tool_result(answer, _note(answer, call.schema))
            except MCPError as e:  # the server has refused it, and nothing ran
                pages = _pages(e)
                if not pages or not await _visited(pages, visit):
                    raise _with_pages(e, pages) from None
        raise MCPError(URL_ELICITATION_REQUIRED, "the server asks for page after page")


def _pages(error: MCPError) -> list[types.ElicitRequestURLParams]:
    """What the user must visit first, if this error says so (2025-11-25)."""
    if error.code != URL_ELICITATION_REQUIRED:
        return []
    try:
        return UrlElicitationRequiredError.from_error(error.error).elicitations
    except Exception:  # what a server may put there
        return []


async def _visited(pages: list[types.ElicitRequestURLParams], visit: Visit) -> bool:
    for page in pages:
        if not await visit(page):
            return False
    return True


def _with_pages(error: MCPError, pages: list[types.ElicitRequestURLParams]) -> MCPError:
    """The error with the addresses: who reads it can go there."""
    if not pages:
        return error
    told = "; ".join(f"{page.message}: {page.url}" for page in pages)
    return MCPError(error.code, f"{error.message} The user must visit first: {told}", error.data)


def _note(answer: types.CallToolResult, schema: Mapping[str, Any] | None) -> str:
    if schema is None or answer.is_error:
        return ""
    if answer.structured_content is None:
        return "[The server promised structured content, and gave none.]"
    problem = misfit(schema, answer.structured_content)
    return f"[The result does not fit the server's own schema: {problem[:300]}]" if problem else ""
