"""A call that the command line makes itself: there is no run, and somebody who watches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kimi_agent.errors import UserError
from kimi_agent.events import ToolLog, ToolProgress
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Content, Message
from kimi_agent.observe.console import ConsoleRenderer
from kimi_agent.redact import redact
from kimi_agent.settings import ModelSettings


@dataclass(slots=True)
class CallView:
    """A `RunView` that draws what the call reports, and has neither a conversation nor a model."""

    draw: ConsoleRenderer
    run_id: str = ""
    parent_call_id: str | None = None
    messages: tuple[Message, ...] = ()
    usage: Usage = field(default_factory=Usage)
    turn: int = 0

    def inject(self, content: Content) -> None:
        """Raises UserError."""
        raise UserError("there is no run to say something to")

    def cancel(self, reason: str = "cancelled") -> None:
        """Raises UserError."""
        raise UserError("there is no run to cancel")

    def report(self, call_id: str, text: str, progress: float | None = None, total: float | None = None) -> None:
        """Draws it, without secrets."""
        self.draw(ToolProgress(call_id, redact(text), progress, total))

    def log(self, call_id: str, level: str, text: str, source: str = "") -> None:
        """Draws it, without secrets."""
        self.draw(ToolLog(call_id, level, redact(text), source))

    async def ask_model(
        self, call_id: str, messages: Sequence[Message], instructions: str = "", settings: ModelSettings | None = None
    ) -> AssistantMessage:
        """Raises UserError."""
        raise UserError("there is no model here to ask: use the server in kimi-agent run or chat")
