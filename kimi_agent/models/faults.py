"""What may go wrong between a model and an agent, by name: the table of faults that `ChaosModel` injects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kimi_agent.errors import (
    AuthenticationError,
    BadResponse,
    ConnectionFailed,
    ContextLengthExceeded,
    Overloaded,
    QuotaExceeded,
    StatusError,
)
from kimi_agent.models import spoil
from kimi_agent.models.spoil import Spoil

Fault: TypeAlias = Literal[
    "connection_failed",
    "connect_timeout",
    "first_byte_timeout",
    "rate_limited",
    "overloaded",
    "quota_exceeded",
    "server_error",
    "authentication",
    "context_length",
    "bad_response",
    "idle_timeout",
    "total_timeout",
    "broken_stream",
    "broken_before_call",
    "broken_in_call",
    "broken_after_call",
    "missing_finish",
    "cut_by_length",
    "malformed_arguments",
    "wrong_types",
    "missing_argument",
    "unknown_tool",
    "duplicated_call",
    "equal_raw_ids",
    "reused_key",
    "missing_call_end",
    "wrong_finish_reason",
    "empty_turn",
    "thoughts_only",
    "missing_usage",
    "slow_parts",
    "odd_splits",
]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table.

    Attributes:
        words: what happens, in a line.
        spoil: the fault itself, see `kimi_agent.models.spoil`.
        early: whether it happens before the model is asked: no turn is used up by it.
    """

    words: str
    spoil: Spoil
    early: bool = False


FAULTS: dict[Fault, FaultKind] = {
    "connection_failed": FaultKind(
        "no connection: `ConnectionFailed`", spoil.refusal(lambda _: ConnectionFailed("chaos: connection refused")), early=True
    ),
    "connect_timeout": FaultKind("`ProviderTimeout`, phase connect", spoil.refusal(lambda _: spoil.late("connect")()), early=True),
    "first_byte_timeout": FaultKind(
        "`ProviderTimeout`, phase first byte", spoil.refusal(lambda _: spoil.late("first byte")()), early=True
    ),
    "rate_limited": FaultKind("429, `RateLimited` with `retry_after`", spoil.refusal(spoil.rate_limited), early=True),
    "overloaded": FaultKind("503, `Overloaded`", spoil.status(Overloaded, 503, "chaos: the engine is overloaded"), early=True),
    "quota_exceeded": FaultKind(
        "429, `QuotaExceeded`", spoil.status(QuotaExceeded, 429, "chaos: no money left", "exceeded_current_quota_error"), early=True
    ),
    "server_error": FaultKind("500, `StatusError`", spoil.status(StatusError, 500, "chaos: internal server error"), early=True),
    "authentication": FaultKind(
        "401, `AuthenticationError`", spoil.status(AuthenticationError, 401, "chaos: invalid authentication"), early=True
    ),
    "context_length": FaultKind(
        "400, `ContextLengthExceeded`", spoil.status(ContextLengthExceeded, 400, "chaos: the request is too long"), early=True
    ),
    "bad_response": FaultKind(
        "no chat completion: `BadResponse`", spoil.refusal(lambda _: BadResponse("chaos: not JSON")), early=True
    ),
    "idle_timeout": FaultKind("`ProviderTimeout`, phase idle, somewhere in the answer", spoil.breaks(spoil.late("idle"))),
    "total_timeout": FaultKind("`ProviderTimeout`, phase total, somewhere in the answer", spoil.breaks(spoil.late("total"))),
    "broken_stream": FaultKind("`StreamBroken` somewhere in the answer", spoil.breaks(spoil.snap)),
    "broken_before_call": FaultKind("`StreamBroken` right before a call", spoil.breaks_at("before")),
    "broken_in_call": FaultKind("`StreamBroken` in the middle of a call", spoil.breaks_at("in")),
    "broken_after_call": FaultKind("`StreamBroken` right after a call", spoil.breaks_at("after")),
    "missing_finish": FaultKind("the stream ends without a finish reason", spoil.missing_finish),
    "cut_by_length": FaultKind("the answer is cut by its token limit, in mid-call if it calls", spoil.cut_by_length),
    "malformed_arguments": FaultKind("a call's arguments are not one JSON object", spoil.rewrites(spoil.malformed)),
    "wrong_types": FaultKind("an argument has another type", spoil.rewrites(spoil.wrong_types)),
    "missing_argument": FaultKind("an argument is missing", spoil.rewrites(spoil.missing_argument)),
    "unknown_tool": FaultKind("a call names no tool, or nothing", spoil.unknown_tool),
    "duplicated_call": FaultKind("a call comes twice, with one id", spoil.duplicated),
    "equal_raw_ids": FaultKind("all calls have the same id", spoil.equal_raw_ids),
    "reused_key": FaultKind("all calls of a turn have the same index", spoil.reused_key),
    "missing_call_end": FaultKind("nothing says where a call ends", spoil.missing_call_end),
    "wrong_finish_reason": FaultKind("`stop` with calls, `tool_calls` without, or none", spoil.wrong_finish),
    "empty_turn": FaultKind("the model says nothing", spoil.empty),
    "thoughts_only": FaultKind("the model thinks, and says nothing", spoil.thoughts_only),
    "missing_usage": FaultKind("no token counts", spoil.missing_usage),
    "slow_parts": FaultKind("pauses between the parts", spoil.slow),
    "odd_splits": FaultKind("texts and arguments come in single characters and empty pieces", spoil.odd_splits),
}


def known(names: Iterable[str]) -> tuple[Fault, ...]:
    """The names of faults among these, all of them. Raises KeyError for the first that is none."""
    by_name: dict[str, Fault] = {name: name for name in FAULTS}
    return tuple(by_name[name] for name in names)
