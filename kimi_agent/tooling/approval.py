"""Who decides whether a call may run."""

import inspect
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kimi_agent.errors import UserError
from kimi_agent.messages import ToolCall
from kimi_agent.redact import get_logger
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import Pending
from kimi_agent.tooling.tool import Tool

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Approve:
    """The call may run."""


@dataclass(frozen=True, slots=True)
class Decline:
    """The call may not run; the model is told, with the reason."""

    reason: str = ""


Decision: TypeAlias = Approve | Decline | Pending


class Approver(Protocol):
    """Asked for each call of a tool that needs approval, with its validated arguments. It may take its time, or return `Pending`:
    then the run ends, and can be resumed with the decision. An exception ends the run.
    """

    async def __call__(self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any], /) -> Decision:
        """The decision."""
        ...


async def ask_later(context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> Decision:
    """The default: nobody is there to ask, so the call waits."""
    return Pending(f"{call.name} needs approval")


async def needs_approval(tool: Tool[..., Any], context: RunContext[Any], arguments: dict[str, Any]) -> bool:
    """What the tool's rule says; a rule that fails is on the safe side."""
    needed = tool.rules.needs_approval
    if not callable(needed):
        return needed
    try:
        said = needed(context, arguments)
        return bool(await said if inspect.isawaitable(said) else said)
    except Exception:
        log.exception("needs_approval of %s failed: the call must be approved", tool.name)
        return True


async def decision_of(approver: Approver, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> Decision:
    """What the approver says; True and False will do, and a function that is not async. Raises UserError for anything else."""
    said: Any = approver(context, call, arguments)
    if inspect.isawaitable(said):
        said = await said
    if isinstance(said, bool):
        return Approve() if said else Decline()
    if not isinstance(said, Approve | Decline | Pending):
        raise UserError(f"the approver returned {said!r}: return Approve(), Decline(reason) or Pending(reason)")
    return said


def declined(reason: str) -> str:
    """What the model is told of a declined call."""
    why = f": {reason.rstrip('. ')}" if reason else ""
    return f"The user declined this call{why}. Do not make it again unless asked to."
