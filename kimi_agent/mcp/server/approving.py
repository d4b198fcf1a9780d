"""Who decides on a tool that needs approval: the server's approver, else the client's user, else nobody, and it does not run."""

import json
from typing import TYPE_CHECKING, Any

from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.caller import Caller
from kimi_agent.messages import ToolCall
from kimi_agent.tooling.approval import Approve, Approver, Decision, Decline, decision_of, declined, needs_approval
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import DECODER, Refused
from kimi_agent.tooling.result import Pending
from kimi_agent.tooling.tool import Tool
from kimi_agent.unseen import exact

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

_MOST_SHOWN = 20_000  # characters: what nobody reads nobody approves
_QUESTION = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve", "description": "Whether the call may run"}},
    "required": ["approve"],
}


async def approve(
    tool: Tool[..., Any],
    call: "ServedCall",
    context: RunContext[Any],
    written: dict[str, Any],
    arguments: dict[str, Any],
    approver: Approver | None,
) -> None:
    """Returns if the call may run. Raises Refused, with a text for the client's model.

    `written` are the arguments as JSON has them, `arguments` as the function gets them.
    """
    if not await needs_approval(tool, context, arguments):
        return
    made = ToolCall(context.call_id, tool.name, json.dumps(written, ensure_ascii=False))
    if approver is None:
        decision = await ask_user(Caller(call), made)
    else:
        decision = await decision_of(approver, context, made, arguments)
    if isinstance(decision, Decline):
        raise Refused(declined(decision.reason))
    if isinstance(decision, Pending):
        why = f": {decision.reason}" if decision.reason else ""
        raise Refused(f"{tool.name} needs approval, and nobody is there to give it{why}. It did not run.")


async def ask_user(caller: Caller, call: ToolCall) -> Decision:
    """What the client's user says; Pending where the client cannot ask."""
    if not caller.supports("elicitation"):
        return Pending("the client cannot ask its user")
    shown = exact(_on_one_line(call.effective))
    if len(shown) > _MOST_SHOWN:
        return Pending(f"with arguments of {len(shown)} characters it is too long to be read, and at most {_MOST_SHOWN} are shown")
    try:
        said = await caller.elicit(f"May {call.name} run with these arguments?\n{shown}", _QUESTION)
    except ClientRefused as e:
        return Pending(str(e))
    return Approve() if said and said.get("approve") is True else Decline()


def _on_one_line(arguments: str) -> str:
    """As they will be taken: spaces and line breaks between them, and names that come twice, could hide what follows."""
    try:
        return json.dumps(DECODER.decode(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        return json.dumps(arguments, ensure_ascii=False)
