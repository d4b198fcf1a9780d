"""The state of one run: what the loop works on, what tools see of it, and where its events go."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kimi_agent.errors import UserError
from kimi_agent.events import Event, ToolProgress
from kimi_agent.history import Conversation
from kimi_agent.limits import Limits, Usage
from kimi_agent.messages import Content, Message, ToolCall, ToolMessage, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.output.keep import Kept
from kimi_agent.output.output import Output
from kimi_agent.records import CallDecided, OutputAccepted, Record
from kimi_agent.scope import CancelScope
from kimi_agent.sessions.journal import Journal, MemoryJournal, release
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.approval import Approver
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.dispatch import DispatchRules
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.repeat import RepeatGuard
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
    settings: ModelSettings
    limits: Limits
    dispatch: DispatchRules
    hooks: tuple[Hooks, ...]
    approver: Approver
    output: Output
    deps: Any
    name: str


@dataclass(slots=True, eq=False)
class Run:
    """One run. `conversation` is what `journal` says; write through `record` only.

    `output` is the answer that was accepted, as the object that it is; `unfit_outputs` counts the turns whose answers were not;
    `must_call` says that the last one was text where a call was wanted.
    """

    plan: Plan
    journal: Journal
    conversation: Conversation
    run_id: str
    parent_call_id: str | None = None
    sink: Callable[[Event], None] | None = None
    inbox: deque[UserMessage] = field(default_factory=deque[UserMessage])
    guard: RepeatGuard = field(default_factory=RepeatGuard)
    retries: dict[str, int] = field(default_factory=dict[str, int])
    unfit_outputs: int = 0
    must_call: bool = False
    output: tuple[Any, ...] | None = None
    streaming: Turn | None = None
    ending: bool = False
    known_tokens: int = 0
    known_messages: int = 0
    scope: CancelScope = field(init=False)
    slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.scope = CancelScope(self.plan.limits.wall_clock)
        self.slots = asyncio.Semaphore(self.plan.dispatch.concurrency)

    async def record(self, record: Record) -> None:
        """Journals, then takes in: both or, where the journal fails, neither. A cancellation in between is heard afterwards."""
        journal = self.journal
        if isinstance(journal, MemoryJournal) and type(journal).append is MemoryJournal.append:  # at once: nothing comes in between
            await journal.append(record)
            self.conversation.apply(record)
            return
        cancelled = await _to_the_end(journal.append(record))
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
        """Has the repeat guard know the turns before a run was taken up again."""
        turns, self.conversation.turns_before = self.conversation.turns_before, []
        for calls in turns:
            self.guard.turn_ended(calls, exempt)

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

    def report(self, call_id: str, text: str) -> None:
        """A tool's progress; from any thread. A thread that was given up is not heard any more."""
        if call_id not in self.conversation.finished:
            self.emit(ToolProgress, call_id, text)


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
