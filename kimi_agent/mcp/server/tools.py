"""Tools as the protocol has them: declared with their schemas, and called the way an agent calls them."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import mcp_types as types
from mcp.shared.exceptions import MCPError

from kimi_agent.errors import KimiAgentError, ModelRetry, ToolDefinitionError
from kimi_agent.mcp.server.approving import approve
from kimi_agent.mcp.server.content import block_of, failure, given_blocks, masked, masked_failure, masked_parts
from kimi_agent.mcp.server.eras import connection_of
from kimi_agent.mcp.server.returned import Returned, Unfit, returned_by, returned_by_schema
from kimi_agent.redact import get_logger
from kimi_agent.tooling.approval import Approver
from kimi_agent.tooling.arguments import repaired
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import Refused, check, parse, run_tool
from kimi_agent.tooling.result import Pending, ToolResult, capped
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.toolset import Toolset, collect

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

AnyTool: TypeAlias = Tool[..., Any]
_MOST_CLIENTS = 1000  # whose tools are remembered
log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRules:
    """What holds for all calls of a server.

    Attributes:
        timeout: seconds for a call whose tool does not say.
        max_result_chars: longest result of a tool that does not say.
        approver: decides on tools that need approval; None: the client's user.
        annotations: the protocol's hints (`readOnlyHint`, `title` …), by tool.
    """

    timeout: float | None
    max_result_chars: int
    approver: Approver | None
    annotations: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Declared:
    tool: AnyTool
    spec: types.Tool
    returned: Returned | None


class ServedTools:
    """The tools of a server, asked of their toolsets anew for each request, as a set that may change."""

    def __init__(self, toolsets: tuple[Toolset, ...], rules: ServedRules, changed: Callable[[], None]) -> None:
        self._toolsets, self._rules, self._changed = toolsets, rules, changed
        self._known: dict[str, _Declared] = {}
        self._seen: OrderedDict[str, frozenset[AnyTool]] = OrderedDict()

    def schema_of(self, name: str) -> Mapping[str, Any] | None:
        """The parameters of a tool that was listed."""
        return self._known[name].spec.input_schema if name in self._known else None

    async def declared(self, call: "ServedCall") -> list[types.Tool]:
        """All tools. One that cannot be declared is left out, with a warning. Raises MCPError."""
        tools = await self._found(call)
        specs: list[types.Tool] = []
        for name, each in tools.items():
            try:
                specs.append(self._declare(name, each).spec)
            except ToolDefinitionError as e:
                log.warning("tool %s is left out: %s", name, e)
        self._known = {name: d for name, d in self._known.items() if tools.get(name) is d.tool}
        return specs

    async def call(self, call: "ServedCall", name: str, arguments: dict[str, Any] | None) -> types.CallToolResult:
        """One call: whatever becomes of it is a result that the client's model can read, but what the protocol has errors for.

        Raises MCPError for a tool that there is not.
        """
        context = call.context(name)
        if (tool := (await self._found(call)).get(name)) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {name}")
        try:
            result = await self._answer(self._declare(name, tool), call, context, arguments or {})
            return masked_failure(result) if result.is_error else result
        except Refused as e:
            return failure(str(e))
        except asyncio.CancelledError:
            if call.cancel_reason is None:
                raise
            return failure(f"The call was ended: {call.cancel_reason}.")
        except MCPError:
            raise
        except Exception as e:  # not the tool: an approver, or what a kind of tools does with results
            log.exception("the call of %s failed outside of the tool", name)
            raise MCPError(types.INTERNAL_ERROR, "Internal error") from e

    async def _found(self, call: "ServedCall") -> dict[str, AnyTool]:
        """The tools as they are now. Raises MCPError where a toolset cannot tell."""
        try:
            found = await collect(self._toolsets, call.context())
        except KimiAgentError as e:
            raise MCPError(types.INTERNAL_ERROR, masked(str(e))) from e
        tools = {name: t for name, t in found.items() if not name.startswith("$")}  # hosted by the model's endpoint
        self._compare(connection_of(call.request), frozenset(tools.values()))
        return tools

    def _compare(self, client: str | None, offered: frozenset[AnyTool]) -> None:
        """Where a client finds other tools than before, the others are told to look. Each is compared with itself only: toolsets
        may offer different tools to each, and then their looking would never end."""
        if client is None:
            return
        before, self._seen[client] = self._seen.get(client), offered
        self._seen.move_to_end(client)
        if len(self._seen) > _MOST_CLIENTS:
            self._seen.popitem(last=False)
        if before is not None and before != offered:
            self._changed()

    async def _answer(
        self, declared: _Declared, call: "ServedCall", context: RunContext[Any], given: dict[str, Any]
    ) -> types.CallToolResult:
        tool, raw = declared.tool, json.dumps(given)
        written = parse(repaired(tool, raw) or raw, tool)
        arguments = check(tool, written)
        await approve(tool, call, context, written, arguments, self._rules.approver)
        timeout = self._rules.timeout if tool.rules.timeout is None else tool.rules.timeout
        async with call.place.taken(alone=tool.rules.sequential):
            try:
                result = await run_tool(tool, context, arguments, timeout)
            except ModelRetry as e:
                return failure(f"Error: {e}\nMake the call again, differently.")
        if call.refusal is not None:
            raise call.refusal
        result = await tool.finish(context, result)
        if isinstance(result, Pending):
            why = f" ({result.reason})" if result.reason else ""
            return failure(f"{tool.name} waits for a result from outside{why}, which an MCP client cannot wait for.")
        return self._result(declared, result)

    def _result(self, declared: _Declared, result: ToolResult) -> types.CallToolResult:
        if isinstance(result.value, types.CallToolResult):
            return result.value
        if (blocks := given_blocks(result.value)) is not None:
            return types.CallToolResult(content=blocks, is_error=result.is_error)
        limit = declared.tool.rules.max_result_chars
        whole = masked_parts(result.content) if result.is_error else result.content
        parts = capped(whole, self._rules.max_result_chars if limit is None else limit)
        content = [block_of(p) for p in parts]
        if result.is_error or declared.returned is None:
            return types.CallToolResult(content=content, is_error=result.is_error)
        try:
            structured = declared.returned.structured(result.value)
        except Unfit as e:
            log.warning("%s returned what its output schema does not have: %s", declared.tool.name, e)
            text = f"{declared.tool.name} ran, but its result does not fit its own output schema ({e}). It returned:"
            return types.CallToolResult(content=[types.TextContent(text=text), *content], is_error=True)
        return types.CallToolResult(content=content, structured_content=structured)

    def _declare(self, name: str, tool: AnyTool) -> _Declared:
        """Made once a tool: schemas are compiled once. Raises ToolDefinitionError."""
        known = self._known.get(name)
        if known is None or known.tool is not tool:
            returned = _returned(tool)
            spec = types.Tool(
                name=name,
                description=tool.description or None,
                input_schema=tool.parameters,
                output_schema=returned.schema if returned else None,
                annotations=_annotations(tool, self._rules.annotations.get(name, {})),
            )
            spec.title = spec.annotations.title if spec.annotations else None
            known = self._known[name] = _Declared(tool, spec, returned)
        return known


def _returned(tool: AnyTool) -> Returned | None:
    """What the tool itself says that it returns, as the tools of another MCP server do; else its function's annotation."""
    schema: Any = getattr(tool, "output_schema", None)
    return returned_by_schema(schema) if isinstance(schema, dict) else returned_by(tool.function)  # pyright: ignore[reportUnknownArgumentType]


def _annotations(tool: AnyTool, said: Mapping[str, Any]) -> types.ToolAnnotations | None:
    """The hints: what the server's author says, over what the tool itself says, over what its rules mean."""
    own: Any = getattr(tool, "annotations", None)
    rules = {"idempotentHint": True} if tool.rules.idempotent else {}
    title = {"title": tool_title} if isinstance(tool_title := getattr(tool, "title", None), str) else {}
    hints: dict[str, Any] = {}
    for layer in (rules, own if isinstance(own, Mapping) else {}, title, said):  # pyright: ignore[reportUnknownVariableType]
        hints |= types.ToolAnnotations.model_validate(layer).model_dump(exclude_none=True)
    return types.ToolAnnotations(**hints) if hints else None
