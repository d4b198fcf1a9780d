"""A run that is watched: `async for event in agent.stream("…")`."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self

from kimi_agent import loop
from kimi_agent.errors import UserError
from kimi_agent.events import Event, RunBegin, RunEnd
from kimi_agent.messages import Content, Message
from kimi_agent.output.spec import OutputT
from kimi_agent.result import RunResult, result_of
from kimi_agent.run import Run

Prepare = Callable[[], Awaitable[Run]]


class _Channel:
    """Events from the run to its reader; tools may send from their threads."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._closed = False

    def send(self, event: Event) -> None:
        self._events.append(event)
        if not self._news.is_set():  # else the reader is about to look anyway
            self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        try:
            same = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            same = False
        if same:
            self._news.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def next(self) -> Event | None:
        """The next event; None when there will be no more."""
        while not self._events:
            if self._closed:
                return None
            self._news.clear()
            if not self._events:  # `send` looks at `_news` after it has added: one of us two sees the other
                await self._news.wait()
        return self._events.popleft()

    def ready(self) -> Event | None:
        """An event that is there already."""
        return self._events.popleft() if self._events else None


class RunStream(Generic[OutputT]):
    """The events of a run, which begins when they are first asked for.

        async with agent.stream("…") as stream:
            async for event in stream: ...
        stream.result

    Leaving the `async with` block, or dropping the stream, cancels the model call and the tools. Errors of the run are raised from
    the iteration.
    """

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._channel: _Channel | None = None
        self._task: asyncio.Task[RunResult[Any]] | None = None
        self._run: Run | None = None
        self._result: RunResult[OutputT] | None = None
        self._starting: asyncio.Future[None] | None = None
        self._cancel_reason: str | None = None

    @property
    def result(self) -> RunResult[OutputT]:
        """The run's result. Raises UserError before its end."""
        if self._result is None:
            raise UserError("the run has not ended: read the stream to its end first, or use `await agent.run(…)`")
        return self._result

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, also after the run was cancelled."""
        return () if self._run is None else self._run.messages

    def inject(self, content: Content) -> None:
        """Adds a user message before the model's next turn. Raises UserError when the run has ended or not begun."""
        if self._run is None:
            raise UserError("the run has not begun: put the message into the prompt")
        self._run.inject(content)

    def request_cancel(self, reason: str = "cancelled") -> None:
        """As `cancel`, without waiting: from any thread, or a signal handler; also before the run has begun."""
        self._cancel_reason = reason
        if self._run is not None:
            self._run.cancel(reason)

    async def cancel(self, reason: str = "cancelled") -> RunResult[OutputT]:
        """Ends the run with this stop reason: cancels the model call and the tools, and waits until they are gone."""
        self.request_cancel(reason)
        if self._task is None:
            raise UserError("the run has not begun")
        return await asyncio.shield(self._task)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        channel = self._channel
        if channel is not None and (event := channel.ready()) is not None:
            return event
        await self._begin()
        assert self._channel is not None and self._task is not None
        event = await self._channel.next()
        if event is not None:
            return event
        self._result = await self._task
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is None:
            return
        if not self._task.done():
            self.request_cancel()
        try:
            self._result = await self._task
        except Exception:
            if error is None:
                raise

    def __del__(self) -> None:
        if self._task is not None and not self._task.done() and not self._task.get_loop().is_closed():
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    async def _begin(self) -> None:
        """Once, however many ask for the first event."""
        if self._task is None:
            self._starting = self._starting or asyncio.ensure_future(self._start())
            await asyncio.shield(self._starting)
            self._starting = None

    async def _start(self) -> None:
        self._run = run = await self._prepare()
        if self._cancel_reason is not None:
            run.cancel(self._cancel_reason)
        self._channel = channel = _Channel()
        run.sink = channel.send
        self._task = asyncio.create_task(_drive(run, channel), name=f"run {run.run_id}")
        self._task.add_done_callback(partial(_ended, run))


def _ended(run: Run, task: asyncio.Task[RunResult[Any]]) -> None:
    run.release()
    if not task.cancelled():
        task.exception()  # an error that nobody reads is no news for asyncio's handler


async def _drive(run: Run, channel: _Channel) -> RunResult[Any]:
    try:
        return await drive(run)
    finally:
        channel.close()


async def drive(run: Run) -> RunResult[Any]:
    """The loop with its first and last event, and the result."""
    conversation = run.conversation
    run.emit(RunBegin, conversation.messages[conversation.first_new :])
    try:
        await loop.run(run)
    except (Exception, asyncio.CancelledError) as e:
        run.emit(RunEnd, "cancelled" if isinstance(e, asyncio.CancelledError) else "error", None, run.usage)
        raise
    finally:
        run.release()
    result = result_of(conversation, run.journal, run.plan.output, run.output, run.plan.deps)
    run.emit(RunEnd, result.stop_reason, result.output if result.has_output else None, result.usage)
    return result
