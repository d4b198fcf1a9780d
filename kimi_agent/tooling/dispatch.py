"""The calls of one turn: started as early as is safe, bounded, and answered in order.

A call that needs no approval and is no barrier starts while the model still streams; the others, and whatever stands behind
them, wait for the end of the turn. A `sequential` tool is a barrier: it waits for all before it, and all behind wait for it. Equal
calls share one run: it is approved, started and journalled as started once, and each of them has its result.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kimi_agent.errors import ModelRetry, UserError
from kimi_agent.events import ApprovalRequested, Event, ToolBegin, ToolEnd
from kimi_agent.messages import ToolCall, ToolMessage
from kimi_agent.records import CallDecided, CallFinished, CallPending, CallStarted, Record
from kimi_agent.tooling.approval import Approve, Approver, Decline, decision_of, declined, needs_approval
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import Refused, cancelled_from_outside, check, find, parse, run_tool
from kimi_agent.tooling.hooks import Hooks, expect
from kimi_agent.tooling.repeat import RepeatGuard, Twins
from kimi_agent.tooling.result import Pending, ToolResult, capped
from kimi_agent.tooling.tool import Tool

AnyTool = Tool[..., Any]
_CHANGED = (
    "{} is not the tool any more that was approved: it did not run. Look at what it does now, and call it again if it is needed."
)
_Shared = ToolCall | ToolResult | Pending | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRules:
    """What holds for all calls of an agent.

    Attributes:
        concurrency: calls that run at once, in one run.
        timeout: seconds for a call whose tool does not say.
        max_result_chars: longest result of a tool that does not say.
    """

    concurrency: int = 16
    timeout: float | None = 300.0
    max_result_chars: int = 50_000


class Ledger(Protocol):
    """What a dispatcher needs of the run that it works for."""

    guard: RepeatGuard
    retries: dict[str, int]
    slots: asyncio.Semaphore

    @property
    def decisions(self) -> Mapping[str, CallDecided]:
        """Decisions that the journal holds, by call id."""
        ...

    @property
    def definitions(self) -> Mapping[str, str]:
        """What the tools of calls that waited were, by call id; see `RunContext.definition`."""
        ...

    @property
    def taken_up(self) -> Sequence[ToolCall]:
        """All calls of the turn that a resumed run finds with results missing; none while turns go their way."""
        ...

    def outcome(self, call: ToolCall) -> ToolResult | Pending | None:
        """What the journal knows to have come of a call; None where it never began."""
        ...

    async def record(self, record: Record) -> None:
        """Journals; returns when it is safe."""
        ...

    def made(self, record: type[Record], **values: Any) -> Record:
        """A record of this run."""
        ...

    def emit(self, event: type[Event], *values: Any, **more: Any) -> None:
        """Tells those who watch."""
        ...

    def unfinished(self, call: ToolCall) -> ToolMessage:
        """What is known of a call that has no result."""
        ...

    async def arrive(self) -> None:
        """Where somebody has just ended the run, waits for the cancellation to come."""
        ...

    def context(self, call_id: str = "", tool_name: str = "", retry: int = 0) -> RunContext[Any]:
        """For tools and hooks."""
        ...


class Dispatcher:
    """Runs the calls of one turn; use as a context manager, so that no task outlives it."""

    def __init__(
        self, ledger: Ledger, tools: Mapping[str, AnyTool], rules: DispatchRules, hooks: Sequence[Hooks], approver: Approver
    ) -> None:
        self._ledger, self._tools, self._rules, self._hooks, self._approver = ledger, tools, rules, hooks, approver
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[ToolMessage | Pending]] = []
        self._held: list[ToolCall] = []
        self._barrier: asyncio.Task[Any] | None = None
        self._runs: dict[str, asyncio.Task[Any]] = {}
        self._outcomes: dict[str, ToolResult | Pending] = {}
        self._definitions: dict[str, str] = {}
        self._twins = Twins(tools, ledger.guard.key)
        for call in ledger.taken_up:
            self._twins.of(call)

    async def __aenter__(self) -> "Dispatcher":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """Cancels and awaits what still runs if the turn fails. Raises what a hook or an approver raised, as it was."""
        try:
            await self._group.__aexit__(*error)
        except BaseExceptionGroup as e:
            raise e.exceptions[0] from None

    def offer(self, call: ToolCall) -> None:
        """A complete call, while the model streams: starts it if that is safe, else keeps it until `settle`."""
        tool = self._tools.get(call.name)
        self._twins.of(call)
        safe = tool is None or not (tool.rules.sequential or tool.rules.needs_approval)
        if safe and not self._held:
            self._launch(call)
        else:
            self._held.append(call)

    async def settle(self) -> list[ToolMessage | Pending]:
        """The turn has ended: starts what was kept, and waits for all. Results in the order of the offers."""
        for call in self._held:
            self._launch(call)
        self._held.clear()
        if self._tasks:
            await asyncio.wait(self._tasks)
        return [t.result() for t in self._tasks]

    @property
    def idle(self) -> bool:
        """Whether no call was offered."""
        return not (self._tasks or self._held)

    def _launch(self, call: ToolCall) -> None:
        tool, shared = self._tools.get(call.name), self._shared(call)
        if isinstance(shared, ToolCall):
            self._tasks.append(self._begin(call, [self._runs[shared.id]], shared))
            return
        sequential = tool is not None and tool.rules.sequential
        behind = list(self._tasks) if sequential else [self._barrier] if self._barrier else []
        task = self._runs[call.id] = self._begin(call, behind, shared)
        self._tasks.append(task)
        if sequential:
            self._barrier = task

    def _begin(self, call: ToolCall, behind: Sequence[asyncio.Task[Any]], shared: _Shared) -> asyncio.Task[ToolMessage | Pending]:
        return self._group.create_task(self._answer(call, behind, shared), name=f"{call.name} {call.id}")

    def _shared(self, call: ToolCall) -> _Shared:
        """The equal call whose run this one shares, or what is known to have come of it; None where this one runs. What a person
        decided of this very call holds for it alone."""
        twins = self._twins.of(call)
        if len(twins) == 1:
            return None
        decisions = self._ledger.decisions
        own = decisions.get(call.id)
        for twin in twins:
            known = decisions.get(twin.id)
            if twin.id == call.id or (own is not None and not (own.approved and known is not None and known.approved)):
                continue
            if twin.id in self._runs:
                return twin
            if (outcome := self._ledger.outcome(twin)) is not None:
                return outcome
        return None

    async def _answer(self, call: ToolCall, behind: Sequence[asyncio.Task[Any]], shared: _Shared) -> ToolMessage | Pending:
        if behind:
            await asyncio.wait(behind)
        self._ledger.emit(ToolBegin, call)
        begun = time.monotonic()
        try:
            if isinstance(shared, ToolCall):
                shared = self._outcomes[shared.id]
            outcome = self._outcomes[call.id] = await self._outcome(call) if shared is None else shared
        except asyncio.CancelledError:
            self._ledger.emit(ToolEnd, call, self._ledger.unfinished(call), None, time.monotonic() - begun)
            if cancelled_from_outside():
                raise
            raise RuntimeError(f"a hook or the approver of {call.name} was cancelled from within") from None
        except BaseException:  # a hook failed: those who watch are told that it is over
            self._ledger.emit(ToolEnd, call, self._ledger.unfinished(call), None, time.monotonic() - begun)
            raise
        if isinstance(outcome, Pending):
            definition = self._definitions.get(call.id, "")
            await self._ledger.record(self._ledger.made(CallPending, call_id=call.id, reason=outcome.reason, definition=definition))
            self._ledger.emit(ApprovalRequested, call, outcome.reason)
            return outcome
        message = await self._message(call, outcome)
        await self._ledger.record(self._ledger.made(CallFinished, result=message))
        self._ledger.emit(ToolEnd, call, message, outcome.value, time.monotonic() - begun)
        return message

    async def _outcome(self, call: ToolCall) -> ToolResult | Pending:
        try:
            tool = find(self._tools, call.name)
            arguments = check(tool, parse(call.effective, tool))
            context = self._ledger.context(call.id, tool.name, self._ledger.retries.get(tool.name, 0))
            if tool.definition:
                context = replace(context, definition=tool.definition)
            await self._approved(tool, context, call, arguments)
            for hook in self._hooks:
                changed: Any = await hook.before_tool(context, call, arguments)
                if isinstance(changed, ToolResult):
                    return changed
                arguments = expect(changed, dict[str, Any], hook, "before_tool", "the arguments or a ToolResult")
            await self._ledger.arrive()
            return await self._run(tool, context, call, arguments)
        except Refused as e:
            return ToolResult(str(e), is_error=True)
        except _Waits as e:
            self._definitions[call.id] = e.definition
            return e.pending

    async def _approved(self, tool: AnyTool, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> None:
        """Returns if the call may run; raises Refused or _Waits. A decision that the journal holds is not asked for again."""
        if not await needs_approval(tool, context, arguments):
            return
        known = self._ledger.decisions.get(call.id)
        if known is not None and self._ledger.definitions.get(call.id, tool.definition) != tool.definition:
            raise Refused(_CHANGED.format(tool.name))
        if known is None:
            decision = await decision_of(self._approver, context, call, arguments)
            if isinstance(decision, Pending):
                raise _Waits(decision, tool.definition)
            reason = decision.reason if isinstance(decision, Decline) else ""
            known = CallDecided(run_id="", call_id=call.id, approved=isinstance(decision, Approve), reason=reason)
            await self._ledger.record(self._ledger.made(CallDecided, call_id=call.id, approved=known.approved, reason=reason))
        if not known.approved:
            raise Refused(declined(known.reason))
        if not await tool.unchanged():
            raise Refused(_CHANGED.format(tool.name))

    async def _run(
        self, tool: AnyTool, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]
    ) -> ToolResult | Pending:
        """The tool itself, with a place among those that run, and its budget of ModelRetry."""
        used = self._ledger.retries.get(tool.name, 0)
        if used > tool.rules.retries:
            raise Refused(
                f"{tool.name} is closed for the rest of this run: it asked {used} times in a row to be called differently."
            )
        timeout = self._rules.timeout if tool.rules.timeout is None else tool.rules.timeout
        async with self._ledger.slots:
            await self._ledger.record(self._ledger.made(CallStarted, call_id=call.id))
            try:
                result = await run_tool(tool, context, arguments, timeout)
            except ModelRetry as e:
                self._ledger.retries[tool.name] = used + 1
                last = used + 1 > tool.rules.retries
                advice = "That was the last attempt." if last else "Make the call again, differently."
                return ToolResult(f"Error: {e}\n{advice}", is_error=True)
        self._ledger.retries.pop(tool.name, None)
        return await tool.finish(context, result)

    async def _message(self, call: ToolCall, outcome: ToolResult) -> ToolMessage:
        tool = self._tools.get(call.name)
        limit = tool.rules.max_result_chars if tool else None
        content = capped(outcome.content, self._rules.max_result_chars if limit is None else limit)
        message = ToolMessage(call.id, call.name, content, outcome.is_error)
        for hook in reversed(self._hooks):
            left: Any = await hook.after_tool(self._ledger.context(call.id, call.name), call, message)
            message = expect(left, ToolMessage, hook, "after_tool", "a ToolMessage")
            if message.call_id != call.id:
                raise UserError(f"{type(hook).__name__}.after_tool answered {message.call_id!r} instead of {call.id!r}")
        if (tool is None or not tool.rules.repeatable) and (reminder := self._ledger.guard.heard(call, message.content)):
            message = ToolMessage(call.id, message.name, (*message.content, reminder), message.is_error)
        return message


class _Waits(Exception):
    def __init__(self, pending: Pending, definition: str) -> None:
        super().__init__(pending.reason)
        self.pending, self.definition = pending, definition
