"""The one event vocabulary of a run. Whatever has a length comes as a begin/end pair with deltas between.

    RunBegin
      TurnBegin
        ReasoningBegin ReasoningDelta… ReasoningEnd
        TextBegin TextDelta… TextEnd
        ToolCallBegin ToolCallDelta… ToolCallEnd        the model makes a call
      TurnEnd
        ToolBegin ToolProgress… ToolLog… ToolEnd        the call runs; may begin before its turn ends
        ApprovalRequested                               the call waits for a person
      InputReceived                                     a message injected in mid-run
    Healed                                            at any time: something that the endpoint did wrong was put right
    RunEnd

Every event names its run, and the call of another run that started it, if one did. `to_dict` gives plain JSON-able data.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, File, Image, Message, SystemMessage, Text, ToolCall, ToolMessage, UserMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    run_id: str = ""
    parent_call_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: `{"event": class name, field: value …}`; binary data as its size."""
        return {"event": type(self).__name__, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}


@dataclass(frozen=True, slots=True)
class RunBegin(_Event):
    """A run begins with these new messages."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class TurnBegin(_Event):
    """The model is asked for turn number `turn`, from 0."""

    turn: int


@dataclass(frozen=True, slots=True)
class TextBegin(_Event):
    """The model begins to speak."""


@dataclass(frozen=True, slots=True)
class TextDelta(_Event):
    """A piece of text; never retracted."""

    text: str


@dataclass(frozen=True, slots=True)
class TextEnd(_Event):
    """The model ends, or interrupts, its text; `text` is all since `TextBegin`."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningBegin(_Event):
    """The model begins to think."""


@dataclass(frozen=True, slots=True)
class ReasoningDelta(_Event):
    """A piece of thought."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningEnd(_Event):
    """The model ends, or interrupts, its thoughts."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallBegin(_Event):
    """The model begins to write a call."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta(_Event):
    """A piece of a call's JSON arguments."""

    call_id: str
    fragment: str


@dataclass(frozen=True, slots=True)
class ToolCallEnd(_Event):
    """The call is complete, or was cut off (`cut`) and will not run."""

    call: ToolCall
    cut: bool = False


@dataclass(frozen=True, slots=True)
class TurnEnd(_Event):
    """The model's turn is over."""

    turn: int
    message: AssistantMessage
    usage: Usage


@dataclass(frozen=True, slots=True)
class ToolBegin(_Event):
    """A call is dispatched."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolProgress(_Event):
    """What a running tool reported through `ctx.report`: `progress` of `total`, in units of its own, where it can tell."""

    call_id: str
    text: str
    progress: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class ToolLog(_Event):
    """What a running tool, or the server that it runs on, noted for those who watch (`ctx.log`); the model does not see it.

    Attributes:
        level: "debug", "info", "notice", "warning", "error", "critical", "alert" or "emergency", as MCP has them.
        source: the server, and the logger on it, if it has a name.
    """

    call_id: str
    level: str
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class ToolEnd(_Event):
    """A call has its result, or was cancelled, and then `result` says what is known.

    `value` is what the tool returned, for the reader, where `result` is what the model sees.
    """

    call: ToolCall
    result: ToolMessage
    value: Any = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ApprovalRequested(_Event):
    """A call waits for a decision or a result from outside, and has no `ToolEnd` yet.

    The run ends with stop reason "pending", and can be resumed.
    """

    call: ToolCall
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InputReceived(_Event):
    """A user message was injected in mid-run, and stands in the history from here on."""

    message: UserMessage


@dataclass(frozen=True, slots=True)
class Healed(_Event):
    """Something that the endpoint or the model did wrong was put right.

    Attributes:
        kind: "leaked_call" (a call stood in the text), "leaked_call_in_thoughts", "thought_in_text", "stray_marker",
            "missing_name", "finish_reason" (it spoke of calls, and there were none), "arguments" (they were mended);
            "broken_stream", "empty_turn": the turn that has just ended is taken back and asked for again;
            "cut_call" (a call was cut off and is asked for again), "announced_call" (see `Healing.nudge`).
        detail: for the reader.
    """

    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RunEnd(_Event):
    """The run is over: with a stop reason, or with "error", and then the error is raised from the stream."""

    stop_reason: str
    output: Any
    usage: Usage


Event: TypeAlias = (
    RunBegin | TurnBegin | TextBegin | TextDelta | TextEnd | ReasoningBegin | ReasoningDelta | ReasoningEnd
    | ToolCallBegin | ToolCallDelta | ToolCallEnd | TurnEnd | ToolBegin | ToolProgress | ToolLog | ToolEnd
    | ApprovalRequested | InputReceived | Healed | RunEnd
)  # fmt: skip

_DEPTH = 20


def _plain(value: Any, depth: int = 0) -> Any:
    """Dataclasses as dicts with a `type`, sequences as lists, bytes as their length, what is unknown or too deep as its text."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return len(value)
    try:
        return _nested(value, depth + 1) if depth < _DEPTH else str(value)
    except Exception as e:  # a tool's value may be anything: those who watch must not fail because of it
        return f"<{type(value).__name__}: {type(e).__name__}>"


def _nested(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v, depth) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(v, depth) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Text | Image | File | ToolCall | ToolMessage | AssistantMessage | UserMessage | SystemMessage | Usage):
        return {"type": type(value).__name__, **{f.name: _plain(getattr(value, f.name), depth) for f in fields(value)}}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="json"), depth)
    return str(value)
