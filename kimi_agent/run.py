"""The state of one run: what the loop works on, what tools see of it, and where its events go."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from kimi_agent import aside
from kimi_agent.errors import UserError
from kimi_agent.events import Event, Healed, ToolLog, ToolProgress
from kimi_agent.healing import Healing
from kimi_agent.history import Conversation
from kimi_agent.limits import Limits, Usage
from kimi_agent.messages import AssistantMessage, Content, Message, ToolCall, ToolMessage, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.output.keep import Kept
from kimi_agent.output.output import Output
from kimi_agent.records import CallDecided, OutputAccepted, Record, RunEnded, TurnHealed
from kimi_agent.scope import CancelScope
from kimi_agent.sessions.journal import Journal, MemoryJournal, release
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.approval import Approver
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.dispatch import DispatchRules
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.names import ToolNames
from kimi_agent.tooling.repeat import RepeatGuard, without_reminder
from kimi_agent.tooling.result import Pending, ToolResult
from kimi_agent.tooling.search import ToolSearch
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.toolset import Toolset
from kimi_agent.turn import Turn

AnyTool: TypeAlias = Tool[..., Any]
Instructions: TypeAlias = str | Callable[..., Any] | Sequence[str | Callable[..., Any]]
PrepareTools: TypeAlias = Callable[[RunContext[Any], list[AnyTool]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do, fixed when it begins."""

    model: Model
    instructions: tuple[str | Callable[..., Any], ...]
    toolsets: tuple[Toolset, ...]
    prepare_tools: PrepareTools | None
    search: ToolSearch
    settings: ModelSettings
    limits: Limits
    dispatch: DispatchRules
    hooks: tuple[Hooks, ...]
    approver: Approver
    output: Output
    healing: Healing
    deps: Any
    name: str


@dataclass(slots=True)
class Streaks:
    """How often in succession the model was asked again, by cause; and how many tokens the next answer needs at least, once one
    was cut off."""

    broken: int = 0
    empty: int = 0
    cuts: int = 0
    nudges: int = 0
    room: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """One run. `conversation` is what `journal` says; write through `record` only.

    `output` is the answer that was accepted, as the object that it is; `unfit_outputs` counts the turns whose answers were not;
    `said_tokens` are those of the last answer, `said_nothing` whether it was empty, `must_call` whether it was text where a call
    was wanted; `asides` are the requests beside the turns that are under way;
    `names` says whose tools' names were: see `kimi_agent.tooling.names`.
    """

    plan: Plan
    journal: Journal
    conversation: Conversation
    run_id: str
    parent_call_id: str | None = None
    sink: Callable[[Event], None] | None = None
    inbox: deque[UserMessage] = field(default_factory=deque[UserMessage])
    guard: RepeatGuard = field(default_factory=RepeatGuard)
    names: ToolNames = field(default_factory=ToolNames)
    retries: dict[str, int] = field(default_factory=dict[str, int])
    said_tokens: int = 0
    said_nothing: bool = False
    streaks: Streaks = field(default_factory=Streaks)
    unfit_outputs: int = 0
    must_call: bool = False
    output: tuple[Any, ...] | None = None
    streaming: Turn | None = None
    ending: bool = False
    known_tokens: int = 0
    known_messages: int = 0
    asides: aside.Asides = field(default_factory=aside.Asides)
    scope: CancelScope = field(init=False)
    slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.scope = CancelScope(self.plan.limits.wall_clock)
        self.slots = asyncio.Semaphore(self.plan.dispatch.concurrency)

    async def record(self, record: Record) -> None:
        """Journals, then takes in: both or, where the journal fails, neither. A cancellation in between is heard afterwards.

        What is asked beside the turns ends before the run does, so that what it used stands before the run's end.
        """
        journal, cancelled = self.journal, None
        if isinstance(record, RunEnded) and self.asides:
            cancelled = await _to_the_end(self.asides.end())
        if isinstance(journal, MemoryJournal) and type(journal).append is MemoryJournal.append:  # at once: nothing comes in between
            await journal.append(record)
        else:
            cancelled = await _to_the_end(journal.append(record)) or cancelled
        self.conversation.apply(record)
        if cancelled is not None:
            raise cancelled

    def made(self, record: type[Any], **values: Any) -> Any:
        """A record of this run."""
        return record(run_id=self.run_id, parent_call_id=self.parent_call_id, **values)

    def emit(self, event: type[Any], *values: Any, **more: Any) -> None:
        """Tells those who watch, if anybody does."""
        if self.sink is not None:
            self.sink(event(*values, run_id=self.run_id, parent_call_id=self.parent_call_id, **more))

    def context(self, call_id: str = "", tool_name: str = "", retry: int = 0) -> RunContext[Any]:
        """For tools, hooks, filters and instructions."""
        return RunContext(self.plan.deps, self, call_id, tool_name, retry)

    def unfinished(self, call: ToolCall) -> ToolMessage:
        """What is known of a call that has no result."""
        return self.conversation.synthetic(call)

    def priced(self, usage: Usage) -> Usage:
        """With the money that it costs, where the model has a price and did not tell it."""
        price = self.plan.model.profile.price
        return replace(usage, cost_usd=price.cost(usage)) if price and not usage.cost_usd else usage

    def spent(self, now: Usage | None = None) -> str | None:
        """The limit that tokens or money have reached, if any, with what a turn that is not journalled yet has used (`now`: that of
        the turn that streams)."""
        if now is None and self.streaming is not None:
            now = self.streaming.usage
        limits, used = self.plan.limits, self.usage if now is None else self.usage + self.priced(now)
        if limits.tokens is not None and used.total_tokens >= limits.tokens:
            return "tokens"
        return "cost" if limits.cost_usd is not None and used.cost_usd >= limits.cost_usd else None

    def reached(self) -> str | None:
        """The limit that forbids another request, if any: "turns", "tokens" or "cost". What is asked apart counts as turns do, and
        so does what is under way."""
        limit, conversation = self.plan.limits.turns, self.conversation
        streaming = 0 if self.streaming is None else 1
        if limit is not None and conversation.turns + conversation.asides + len(self.asides) + streaming >= limit:
            return "turns"
        return self.spent()

    async def heal(self, kind: str, detail: str = "") -> None:
        """Journals that something was put right, and tells those who watch."""
        await self.record(self.made(TurnHealed, kind=kind, detail=detail))
        self.emit(Healed, kind, detail)

    @property
    def accepted(self) -> bool:
        """Whether the answer has been given."""
        return self.conversation.output is not None

    async def accept(self, value: Any, name: str, kept: Kept) -> None:
        """Journals the typed answer."""
        await self.record(self.made(OutputAccepted, value=kept.data, name=name, whole=kept.whole))
        self.output = (value,)

    @property
    def decisions(self) -> Mapping[str, CallDecided]:
        """Decisions that the journal holds."""
        return self.conversation.decisions

    @property
    def definitions(self) -> Mapping[str, str]:
        """What the tools of calls that waited were, by call id."""
        return self.conversation.definitions

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far."""
        conversation = self.conversation
        return conversation.messages if conversation.stop_reason is None else conversation.transcript

    @property
    def usage(self) -> Usage:
        """Used so far."""
        return self.conversation.usage

    @property
    def turn(self) -> int:
        """Turns that ended."""
        return self.conversation.turns

    def seed_guard(self, exempt: Sequence[str]) -> None:
        """Has the repeat guard know the turns before a run was taken up again, with the results that they have. Before each turn:
        one that was taken up has ended by now."""
        conversation = self.conversation
        if not conversation.turns_before:
            return
        if conversation.unanswered:
            *ended, open_ = conversation.turns_before
            conversation.turns_before = [open_]
        else:
            ended, conversation.turns_before = conversation.turns_before, []
        for calls in ended:
            self._recall(calls, exempt)
            self.guard.turn_ended(calls, exempt)
        for calls in conversation.turns_before:
            self._recall(calls, exempt)

    def _recall(self, calls: Sequence[ToolCall], exempt: Sequence[str]) -> None:
        for call in calls:
            if call.name not in exempt and (result := self.conversation.finished.get(call.id)) is not None:
                self.guard.heard(call, without_reminder(result.content))

    @property
    def taken_up(self) -> Sequence[ToolCall]:
        """All calls of the turn that a resumed run finds with results missing; none while turns go their way."""
        turn = self.conversation.open_turn if self.conversation.unanswered else None
        return () if turn is None else turn.tool_calls

    def outcome(self, call: ToolCall) -> ToolResult | Pending | None:
        """What the journal knows to have come of a call; None where it never began."""
        conversation = self.conversation
        if (result := conversation.finished.get(call.id)) is not None:
            return ToolResult(without_reminder(result.content) or "", result.is_error)
        if call.id not in conversation.started:
            return None
        if call.id in conversation.pending:
            return Pending(conversation.pending[call.id])
        return ToolResult(self.unfinished(call).content, is_error=True)

    def release(self) -> None:
        """Another run may have the journal."""
        release(self.journal, self.parent_call_id)

    def inject(self, content: Content) -> None:
        """Adds a user message before the next turn. From the run's own thread."""
        if self.ending:
            raise UserError("the run has ended: nothing can be injected any more")
        self.inbox.append(UserMessage(content))

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends the run with this stop reason."""
        self.scope.cancel(reason)

    async def arrive(self) -> None:
        """Where somebody has just ended the run, waits for the cancellation to come."""
        await self.scope.arrive()

    def report(self, call_id: str, text: str, progress: float | None = None, total: float | None = None) -> None:
        """A tool's progress; from any thread. A thread that was given up is not heard any more."""
        if call_id not in self.conversation.finished:
            self.emit(ToolProgress, call_id, text, progress, total)

    def log(self, call_id: str, level: str, text: str, source: str = "") -> None:
        """What a tool notes for those who watch; from any thread."""
        if call_id not in self.conversation.finished:
            self.emit(ToolLog, call_id, level, text, source)

    async def ask_model(
        self, call_id: str, messages: Sequence[Message], instructions: str = "", settings: ModelSettings | None = None
    ) -> AssistantMessage:
        """See `RunContext.ask_model`."""
        return await aside.ask(self, call_id, messages, instructions, settings)


async def _to_the_end(writing: Coroutine[Any, Any, None]) -> asyncio.CancelledError | None:
    """Waits until it is done, whoever cancels meanwhile; the cancellation, if there was one. Raises what the writing raises."""
    task = asyncio.ensure_future(writing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as e:
            if task.cancelled():
                raise
            cancelled = e
    task.result()
    return cancelled


def new_id(prefix: str) -> str:
    """A name unique in the world, of letters, digits and _."""
    return f"{prefix}_{os.urandom(8).hex()}"
