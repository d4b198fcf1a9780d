"""Who decides whether a call may run."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kimi_agent.messages import ToolCall
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import Pending


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


def declined(reason: str) -> str:
    """What the model is told of a declined call."""
    why = f": {reason.rstrip('. ')}" if reason else ""
    return f"The user declined this call{why}. Do not make it again unless asked to."
