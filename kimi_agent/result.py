"""What a run leaves behind."""

from dataclasses import dataclass, field
from typing import Any

from kimi_agent.history import Conversation
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Message, ToolCall
from kimi_agent.sessions.journal import Journal


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended, whatever the reason.

    Attributes:
        output: what the model said last; "" where it was stopped before it said anything.
        stop_reason: "completed"; "pending" (calls wait: see `pending`, and `agent.resume`); "length" (the answer was cut off);
            "turns", "tokens", "cost", "wall_clock", "repeated_calls" (see `Limits`); "cancelled", or what `cancel` was given.
        messages: the whole conversation, to go on with `agent.run(…, messages=result.messages)`.
        new_messages: what this run added to it.
        usage: tokens and money.
        pending: calls that wait for a decision or a result.
        run_id: the run's name.
        journal: what happened, record by record.
    """

    output: Any
    stop_reason: str
    messages: tuple[Message, ...] = field(repr=False)
    new_messages: tuple[Message, ...] = field(repr=False)
    usage: Usage
    pending: tuple[ToolCall, ...]
    run_id: str
    journal: Journal = field(repr=False)


def result_of(conversation: Conversation, journal: Journal) -> RunResult:
    """The result of the conversation's last run."""
    messages = conversation.transcript
    new = messages[conversation.first_new :]
    said = next((m for m in reversed(new) if isinstance(m, AssistantMessage)), None)
    return RunResult(
        output=said.text if said is not None else "",
        stop_reason=conversation.stop_reason or "interrupted",
        messages=messages,
        new_messages=new,
        usage=conversation.usage,
        pending=conversation.waiting,
        run_id=conversation.run_id or "",
        journal=journal,
    )
