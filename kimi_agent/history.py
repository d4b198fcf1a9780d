"""Pure: a journal folds to a `Conversation`, and any messages project to a legal history.

Legal means what every endpoint demands: each call of an assistant turn is answered right behind it, once, in order; nothing is
answered that was not called; call indices rise. Repair adds rather than deletes (a result without a call is the one thing that
cannot be sent; it stays in the journal), is idempotent, and returns the same messages where there is nothing to do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Message, ToolCall, ToolMessage
from kimi_agent.records import (
    ASKED_AGAIN,
    AsideEnded,
    CallDecided,
    CallFinished,
    CallMade,
    CallPending,
    CallStarted,
    InputAdded,
    OutputAccepted,
    Record,
    RunEnded,
    TurnDropped,
    TurnEnded,
    TurnHealed,
)

INTERRUPTED = "The call was interrupted before it ran. Call again if it is still needed."
UNKNOWN_OUTCOME = "The run was interrupted while this call ran: its outcome is unknown. Find out before calling again."

NOT_KNOWN = "There is no result of this call: it is not known whether it ran."
NO_RESULT = "No result came before the user went on."


def project(messages: Sequence[Message], first_index: int = 0) -> list[Message]:
    """A legal history of these messages; calls without a result are answered by saying so.

    `first_index` is the index that the first call must at least have.
    """
    legal: list[Message] = []
    i = 0
    while i < len(messages):
        message = messages[i]
        i += 1
        if isinstance(message, AssistantMessage) and message.tool_calls:
            turn = _numbered(message, first_index)
            first_index = turn.tool_calls[-1].index + 1
            results, others = list[ToolMessage](), list[Message]()
            while i < len(messages) and not isinstance(behind := messages[i], AssistantMessage):
                (results if isinstance(behind, ToolMessage) else others).append(behind)  # pyright: ignore[reportArgumentType]
                i += 1
            legal += [turn, *_answers(turn, results), *others]
        elif not isinstance(message, ToolMessage):
            legal.append(message)
    return legal


def _numbered(message: AssistantMessage, first_index: int) -> AssistantMessage:
    """The same message if its calls' indices rise from `first_index` on, else a copy whose indices do."""
    indices = [first_index - 1, *(c.index for c in message.tool_calls)]
    if all(a < b for a, b in pairwise(indices)):
        return message
    calls = tuple(replace(c, index=i) for i, c in enumerate(message.tool_calls, first_index))
    return replace(message, tool_calls=calls)


def _answers(turn: AssistantMessage, results: list[ToolMessage]) -> list[ToolMessage]:
    """One result per call, in order; of several results with one id the first goes to the first call."""
    answers: list[ToolMessage] = []
    for call in turn.tool_calls:
        mine = next((r for r in results if r.call_id == call.id), None)
        if mine is None:
            mine = ToolMessage(call.id, call.name, NOT_KNOWN, is_error=True)
        else:
            results.remove(mine)
        answers.append(mine)
    return answers


class Conversation:
    """What a journal says, record by record: `apply` as they are written, or `fold` a stored journal.

    Attributes:
        decisions: by call id, whether it was approved.
        started: ids of calls that were started.
        pending: ids of calls that wait for a decision or a result from outside, with the reason.
        definitions: of the tools of calls that waited, by call id.
        finished: results by call id.
        turns: turns that ended in the last run.
        asides: requests beside the turns in the last run.
        usage: what the last run used.
        first_new: index in `messages` of the first that the last run added.
        next_index: index of the next call.
        turns_before: the calls of each turn that a fold found in the last run; empty in a run that is new.
        output: the typed answer that the last run accepted.
        stop_reason: of the last run; None while it runs, or where it broke off.
    """

    def __init__(self) -> None:
        self.decisions: dict[str, CallDecided] = {}
        self.started: set[str] = set()
        self.pending: dict[str, str] = {}
        self.definitions: dict[str, str] = {}
        self.finished: dict[str, ToolMessage] = {}
        self.turns = 0
        self.asides = 0
        self.usage = Usage()
        self.first_new = 0
        self.next_index = 0
        self.output: OutputAccepted | None = None
        self._healed: Counter[str] = Counter()
        self._healed_now: Counter[str] = Counter()  # in a turn that may be dropped
        self.stop_reason: str | None = None
        self.run_id: str | None = None
        self.turns_before: list[tuple[ToolCall, ...]] = []
        self._settled: list[Message] = []
        self._open: AssistantMessage | None = None
        self._made: list[CallMade] = []
        self._queued: list[Message] = []

    def apply(self, record: Record) -> None:
        """Takes in the next record."""
        if record.run_id != self.run_id:
            self._begin_run(record.run_id)
        self.stop_reason = None
        match record:
            case InputAdded(queued=True):
                self._queued += record.messages
            case InputAdded():
                self._add_input(record)
            case CallMade():
                self._settle(keep_made=True)
                self._made.append(record)
                self.next_index = max(self.next_index, record.call.index + 1)
            case CallDecided():
                self.decisions[record.call_id] = record
            case CallStarted():
                self.started.add(record.call_id)
            case CallPending():
                self.pending[record.call_id] = record.reason
                self.definitions[record.call_id] = record.definition
            case CallFinished():
                self.pending.pop(record.result.call_id, None)
                self.finished[record.result.call_id] = record.result
            case TurnEnded():
                self._settle(keep_made=True)
                self._made.clear()
                self._open = record.message
                self._healed += self._healed_now
                self._healed_now.clear()
                self.turns += 1
                self.usage += record.usage
                if record.message.tool_calls:
                    self.next_index = max(self.next_index, record.message.tool_calls[-1].index + 1)
            case TurnDropped():
                self.usage += record.usage
                self._healed_now.clear()
            case TurnHealed(kind=kind):
                (self._healed if kind in ASKED_AGAIN else self._healed_now)[kind] += 1
            case AsideEnded():
                self.usage += record.usage
                self.asides += 1
            case OutputAccepted():
                self.output = record
            case RunEnded():
                self.stop_reason = record.stop_reason

    @property
    def healed(self) -> Counter[str]:
        """What was put right in the last run: how often, by kind. What was put right in turns that were dropped is left out."""
        return self._healed + self._healed_now

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said, in order. Calls of the last turn that have no result yet are left open."""
        return self._with_results(lambda call: self.finished.get(call.id))

    @property
    def transcript(self) -> tuple[Message, ...]:
        """As `messages`, of a run that has ended: only calls that wait for a decision or a result are left open."""
        return self._with_results(lambda c: self.finished.get(c.id) or (None if c.id in self.pending else self.synthetic(c)))

    def _with_results(self, result_of: Callable[[ToolCall], ToolMessage | None]) -> tuple[Message, ...]:
        turn = self.open_turn
        if turn is None:
            return (*self._settled, *self._queued)
        return (*self._settled, turn, *(r for c in turn.tool_calls if (r := result_of(c)) is not None), *self._queued)

    @property
    def history(self) -> tuple[Message, ...]:
        """A legal history to send: open calls are answered as interrupted, or as of unknown outcome where they were started."""
        turn = self.open_turn
        return (*self._settled, *(self._answered(turn) if turn is not None else ()), *self._queued)

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """Calls of the last turn that wait for a decision or a result from outside."""
        return tuple(c for c in self.unanswered if c.id in self.pending)

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """Calls of the last turn that have no result, whether they wait or were interrupted."""
        turn = self.open_turn
        return () if turn is None else tuple(c for c in turn.tool_calls if c.id not in self.finished)

    @property
    def broken_turn(self) -> AssistantMessage | None:
        """The turn that calls were made in and that never ended, if the journal stops in one."""
        return self.open_turn if self._made else None

    @property
    def open_turn(self) -> AssistantMessage | None:
        """The last turn; where it never ended, what is known of it: its complete calls and what was said before the last."""
        if not self._made:
            return self._open
        last = self._made[-1]
        calls = tuple(sorted((m.call for m in self._made), key=lambda c: c.index))
        return AssistantMessage(last.text, calls, last.reasoning, finish_reason="interrupted")

    def _begin_run(self, run_id: str) -> None:
        self._settle()
        self.output, self.turns_before = None, []
        self.run_id, self.turns, self.asides, self.usage, self.first_new = run_id, 0, 0, Usage(), len(self._settled)
        self._healed, self._healed_now = Counter(), Counter()

    def _add_input(self, record: InputAdded) -> None:
        self._settle()
        self._settled += project(record.messages, self.next_index)
        self._count_calls()
        if not record.new:
            self.first_new = len(self._settled)

    def _count_calls(self) -> None:
        turns = (m for m in reversed(self._settled) if isinstance(m, AssistantMessage) and m.tool_calls)
        if (last := next(turns, None)) is not None:
            self.next_index = last.tool_calls[-1].index + 1

    def _settle(self, *, keep_made: bool = False) -> None:
        """The last turn is over for good: its results are put behind it, and it is not looked at again."""
        turn = self._open if keep_made else self.open_turn
        if turn is not None:
            self._settled += self._answered(turn)
        if not (keep_made and self._made):
            self._settled += self._queued
            self._queued.clear()
        self._open = None
        if not keep_made:
            self._made.clear()

    def _answered(self, turn: AssistantMessage) -> list[Message]:
        answers = [self.finished.get(c.id) or self.synthetic(c) for c in turn.tool_calls]
        return [turn, *answers]

    def synthetic(self, call: ToolCall) -> ToolMessage:
        """The answer to a call that has none: interrupted, or, where it was started, of unknown outcome."""
        text = UNKNOWN_OUTCOME if call.id in self.started else INTERRUPTED
        return ToolMessage(call.id, call.name, text, is_error=True)


def fold(records: Iterable[Record], parent_call_id: str | None = None) -> Conversation:
    """What a journal says, or any prefix of one. Records of agents that ran inside a call are left out, or, with the call's id
    as `parent_call_id`, are the ones looked at."""
    conversation = Conversation()
    for record in records:
        if record.parent_call_id != parent_call_id:
            continue
        conversation.apply(record)
        if isinstance(record, TurnEnded):
            conversation.turns_before.append(record.message.tool_calls)
    if (broken := conversation.broken_turn) is not None:
        conversation.turns_before.append(broken.tool_calls)
    return conversation
