"""What a journal holds. The journal is the truth; the history that is sent is a projection of it (`kimi_agent.history`).

In the order of one turn:

    InputAdded                         what the user said (or what was carried over)
      CallMade                         the model completed a call            ┐
      CallDecided                      somebody approved or declined it      │ per call; calls overlap
      CallStarted                      write-ahead: the tool is about to run │
      CallFinished                     its result                            ┘
    TurnEnded                          the whole turn, which holds the calls made in it
    TurnDropped                        or: a turn that is asked for again, and no part of the history
    TurnHealed                         at any time: something that the endpoint did wrong was put right
    AsideEnded                         at any time: a tool asked the model something apart, and this is what it used
      OutputAccepted                   a typed answer, checked; before the result of the call that gave it, if one did
    RunEnded                           with the stop reason

Calls may be made, started and finished before their turn ends. A journal that stops anywhere folds to a legal history.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Message, ToolCall, ToolMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """Every record names its run, and the call of another run that started it, if one did."""

    run_id: str
    parent_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAdded(_Record):
    """Messages that came from outside: a conversation carried over, a prompt, a message injected in mid-run.

    `new` is False for messages that an earlier run made. `queued` ones, injected in mid-run, stand behind the results of the turn
    that is open, also where those are still to come.
    """

    messages: tuple[Message, ...]
    new: bool = True
    queued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMade(_Record):
    """A call is complete. `text` and `reasoning` are what the model had said before it, in case the turn never ends."""

    call: ToolCall
    text: str = ""
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDecided(_Record):
    """An approver, or a person, decided on a call that needs approval."""

    call_id: str
    approved: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(_Record):
    """The tool is about to run."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPending(_Record):
    """The call waits for a decision or a result from outside; `definition` as `RunContext` has it."""

    call_id: str
    reason: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(_Record):
    """The call has its result."""

    result: ToolMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(_Record):
    """The model's turn is over."""

    message: AssistantMessage
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDropped(_Record):
    """The model was asked again instead of this turn; `reason` as the `Healed` event has it. None of its calls was offered."""

    message: AssistantMessage
    usage: Usage
    reason: str


ASKED_AGAIN = ("broken_stream", "empty_turn", "cut_call", "announced_call")  # kinds of healing that cost another turn


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnHealed(_Record):
    """Something was put right; see the `Healed` event."""

    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideEnded(_Record):
    """The model was asked something beside the turns (`RunContext.ask_model`), and answered or failed. What was said is the tool's
    own and not kept; `call_id` is empty where no tool asked."""

    call_id: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAccepted(_Record):
    """The run has its typed answer: `value` as JSON-able data, `name` of the output that it is. `whole`: whether an equal value can
    be made of the data again."""

    value: Any
    name: str
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(_Record):
    """The run is over, for now."""

    stop_reason: str


Record: TypeAlias = (
    InputAdded | CallMade | CallDecided | CallStarted | CallPending | CallFinished | TurnEnded | TurnDropped | TurnHealed
    | AsideEnded | OutputAccepted | RunEnded
)  # fmt: skip
