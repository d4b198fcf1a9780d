"""The state of one run: what the loop works on, what tools see of it, and where its events go."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kimi_agent.errors import UserError
from kimi_agent.events import Event, ToolProgress
from kimi_agent.history import Conversation
from kimi_agent.limits import Limits, Usage
from kimi_agent.messages import Content, Message, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.records import CallDecided, CallFinished, Record
from kimi_agent.scope import CancelScope
from kimi_agent.sessions.journal import Journal
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
    deps: Any
    name: str


@dataclass(slots=True, eq=False)
class Run:
    """One run. `conversation` is what `journal` says; write through `record` only."""

    plan: Plan
    journal: Journal
    conversation: Conversation
    run_id: str
    parent_call_id: str | None = None
    sink: Callable[[Event], None] | None = None
    inbox: deque[UserMessage] = field(default_factory=deque[UserMessage])
    guard: RepeatGuard = field(default_factory=RepeatGuard)
    retries: dict[str, int] = field(default_factory=dict[str, int])
    streaming: Turn | None = None
    known_tokens: int = 0
    known_messages: int = 0
    scope: CancelScope = field(init=False)
    slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.scope = CancelScope(self.plan.limits.wall_clock)
        self.slots = asyncio.Semaphore(self.plan.dispatch.concurrency)

    async def record(self, record: Record) -> None:
        """Journals, then takes in. A result that is there is written even if the run is being cancelled."""
        if isinstance(record, CallFinished):
            await _uncancelled(self.journal, record)
        else:
            await self.journal.append(record)
        self.conversation.apply(record)

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

    @property
    def decisions(self) -> Mapping[str, CallDecided]:
        """Decisions that the journal holds."""
        return self.conversation.decisions

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far."""
        return self.conversation.messages

    @property
    def usage(self) -> Usage:
        """Used so far."""
        return self.conversation.usage

    @property
    def turn(self) -> int:
        """Turns that ended."""
        return self.conversation.turns

    def inject(self, content: Content) -> None:
        """Adds a user message before the next turn. From the run's own thread."""
        if self.conversation.stop_reason is not None:
            raise UserError("the run has ended: nothing can be injected any more")
        self.inbox.append(UserMessage(content))

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends the run with this stop reason."""
        self.scope.cancel(reason)

    def report(self, call_id: str, text: str) -> None:
        """A tool's progress; from any thread."""
        self.emit(ToolProgress, call_id, text)


async def _uncancelled(journal: Journal, record: Record) -> None:
    """Waits for the record to be in, also when cancelled in between, and is cancelled then."""
    writing = asyncio.ensure_future(journal.append(record))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing
        raise


def new_id(prefix: str) -> str:
    """A name unique in the world, of letters, digits and _."""
    return f"{prefix}_{secrets.token_hex(8)}"
