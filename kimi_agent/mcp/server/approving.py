"""Who decides on a tool that needs approval: the server's approver, else the client's user, else nobody, and it does not run."""

import json
from typing import TYPE_CHECKING, Any

from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.caller import Caller
from kimi_agent.messages import ToolCall
from kimi_agent.tooling.approval import Approve, Approver, Decision, Decline, decision_of, declined, needs_approval
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import Refused
from kimi_agent.tooling.result import Pending
from kimi_agent.tooling.tool import Tool

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

_SHOWN = 2000  # characters of the arguments
_QUESTION = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve", "description": "Whether the call may run"}},
    "required": ["approve"],
}


async def approve(
    tool: Tool[..., Any], call: "ServedCall", context: RunContext[Any], arguments: dict[str, Any], approver: Approver | None
) -> None:
    """Returns if the call may run. Raises Refused, with a text for the client's model."""
    if not await needs_approval(tool, context, arguments):
        return
    made = ToolCall(context.call_id, tool.name, json.dumps(arguments, default=str, ensure_ascii=False))
    if approver is None:
        decision = await ask_user(Caller(call), made)
    else:
        decision = await decision_of(approver, context, made, arguments)
    if isinstance(decision, Decline):
        raise Refused(declined(decision.reason))
    if isinstance(decision, Pending):
        raise Refused(f"{tool.name} needs approval, and nobody is there to give it. It did not run.")


async def ask_user(caller: Caller, call: ToolCall) -> Decision:
    """What the client's user says; Pending where the client cannot ask."""
    if not caller.supports("elicitation"):
        return Pending("the client cannot ask its user")
    shown = call.effective if len(call.effective) <= _SHOWN else call.effective[:_SHOWN] + " …"
    try:
        said = await caller.elicit(f"May {call.name} run with these arguments?\n{shown}", _QUESTION)
    except ClientRefused as e:
        return Pending(str(e))
    return Approve() if said and said.get("approve") is True else Decline()
