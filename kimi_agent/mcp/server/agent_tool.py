"""An agent as one tool: each call is a run of its own, told of as it goes, cancelled with the call, and kept when it is over."""

import contextlib
import re
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.subscriptions import ResourcesListChanged

from kimi_agent.agent import Agent
from kimi_agent.errors import UserError
from kimi_agent.events import ToolBegin, ToolEnd, ToolLog, ToolProgress, TurnBegin
from kimi_agent.mcp.server.approving import ask_user
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.eras import owner_of
from kimi_agent.mcp.server.returned import Returned, Unfit, returned_as, returned_by_schema
from kimi_agent.mcp.server.runs import KeptRun
from kimi_agent.messages import Message, ToolCall
from kimi_agent.output.spec import JsonSchema, NativeOutput, PromptedOutput, ToolOutput
from kimi_agent.result import RunResult
from kimi_agent.stand_in import stand_in_for
from kimi_agent.tooling.approval import Decision, ask_later
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult, to_content
from kimi_agent.tooling.tool import Tool, ToolRules

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

_LONG = 30 * 86400.0  # seconds: the agent's own limits hold, and those of the server for short calls do not


class AgentTool(Tool[..., Any]):
    """An agent that an MCP client can call: `MCPService(AgentTool(agent, name="research", description="…"))`.

    Its arguments are `prompt`, and `continue_run`, the id or URI of a finished run to go on from. Its instructions are not told.
    """

    def __init__(self, agent: Agent[Any], *, name: str | None = None, description: str | None = None) -> None:
        """Raises ToolDefinitionError for a name that is none."""
        self.agent = agent
        self.returned = _returned(agent.output)
        self.output_schema = self.returned.schema if self.returned else None
        super().__init__(
            self.run,
            name=name or _legal(agent.name),
            description=description or f"Gives a task to the agent {agent.name!r} and returns its answer.",
            parameters=_PARAMETERS,
            rules=ToolRules(timeout=_LONG, max_result_chars=agent.max_result_chars),
        )

    async def run(self, ctx: RunContext[Any], prompt: str, continue_run: str | None = None) -> Any:
        """One run."""
        call = caller(ctx).call
        before = () if continue_run is None else _before(call, continue_run)
        async with contextlib.AsyncExitStack() as stack:
            if stand_in_for(self.agent).approver is ask_later:
                stack.enter_context(self.agent.override(approver=_approver(ctx)))
            stream = await stack.enter_async_context(self.agent.stream(prompt, messages=before, deps=ctx.deps))
            async for event in stream:
                _tell(ctx, event)
            result = stream.result
        kept = call.serving.runs.keep(self.agent.name, prompt, result, owner_of(call.request))
        call.serving.announce(ResourcesListChanged())
        return self._answered(result, kept)

    def _answered(self, result: RunResult[Any], kept: KeptRun | None) -> types.CallToolResult | ToolResult:
        link = [] if kept is None else [types.ResourceLink(**kept.resource.model_dump())]
        if not result.has_output or result.stop_reason != "completed":
            return types.CallToolResult(content=[types.TextContent(text=_unfinished(result)), *link], is_error=not _said(result))
        text: Any = to_content(result.output)
        content: list[Any] = [types.TextContent(text=text if isinstance(text, str) else str(text)), *link]
        try:
            structured = self.returned.structured(result.output) if self.returned else None
        except Unfit as e:
            note = types.TextContent(text=f"The answer does not fit the output schema ({e}). It is:")
            return types.CallToolResult(content=[note, *content], is_error=True)
        return types.CallToolResult(content=content, structured_content=structured)


_PARAMETERS = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 1, "description": "The task, with all that the agent needs to know"},
        "continue_run": {"type": "string", "description": "Id or URI of a finished run, to go on from where it ended"},
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


def _before(call: "ServedCall", name: str) -> tuple[Message, ...]:
    if (kept := call.serving.runs.find(name, owner_of(call.request))) is None:
        raise UserError(f"there is no finished run {name!r}: leave out continue_run, or give one that a result linked to")
    return kept.result.messages


def _approver(context: RunContext[Any]) -> Any:
    """Calls of the agent that need approval are decided on by the client's user."""

    async def decide(_: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> Decision:
        return await ask_user(caller(context), call)

    return decide


def _tell(context: RunContext[Any], event: Any) -> None:
    """One line a step."""
    if isinstance(event, TurnBegin):
        context.report(f"turn {event.turn + 1}")
    elif isinstance(event, ToolBegin):
        context.report(f"calls {event.call.name}")
    elif isinstance(event, ToolEnd):
        context.report(f"{event.call.name} {'failed' if event.result.is_error else 'is done'} after {event.seconds:.1f} s")
    elif isinstance(event, ToolProgress) and event.text:
        context.report(event.text)
    elif isinstance(event, ToolLog):
        context.log(event.text, event.level, event.source)


def _unfinished(result: RunResult[Any]) -> str:
    """What is to be said where the run ended without its answer."""
    said = f"{result.text}\n\n" if result.text else ""
    if result.stop_reason == "pending":
        waiting = ", ".join(c.name for c in result.pending)
        return f"{said}[The agent is not done: {waiting} must be approved or answered first, and nobody was there to do it.]"
    return f"{said}[The agent stopped before it was done: {result.stop_reason}.]"


def _said(result: RunResult[Any]) -> bool:
    """Whether there is an answer of sorts: one that was cut off, or that a limit ended."""
    return result.has_output and bool(result.text) and result.stop_reason not in ("pending", "empty", "content_filter")


def _returned(output: Any) -> Returned | None:
    """The type of the answer, where an agent has one that a schema can tell."""
    while isinstance(output, ToolOutput | NativeOutput | PromptedOutput):
        output = output.of  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(output, JsonSchema):
        return returned_by_schema(dict(output.schema))
    is_function = callable(output) and not isinstance(output, type) and typing.get_origin(output) is None
    return None if is_function or isinstance(output, list | tuple | Mapping) else returned_as(output)


def _legal(name: str) -> str:
    """The agent's name, as a tool may be named."""
    legal = re.sub(r"[^a-zA-Z0-9_.-]+", "_", name).strip("_.-")[:64]
    return legal if re.match(r"[a-zA-Z_]", legal) else f"agent_{legal}"[:64].rstrip("_")
