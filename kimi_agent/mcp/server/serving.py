"""`Serving`: what lives as long as one lifespan of the server: a connection over pipes or in process, or all of an HTTP server."""

import asyncio
import contextlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_to_notification

from kimi_agent.mcp.server.call import ServedCall
from kimi_agent.mcp.server.content import masked
from kimi_agent.mcp.server.eras import Request, is_modern, owner_of, session_of
from kimi_agent.mcp.server.gate import Gate
from kimi_agent.mcp.server.parked import Asking, Identity, Parked
from kimi_agent.mcp.server.runs import KeptRuns

Work: TypeAlias = Callable[[ServedCall], Coroutine[Any, Any, Any]]
_MOST_SESSIONS = 1000  # that are told of changes: those that were heard last
_MOST_SUBSCRIPTIONS = 1000  # of one session
_GRACE = 5.0


@dataclass(slots=True, eq=False)
class Serving:
    """State of the server for the clients of one lifespan. All of it belongs to one event loop.

    Attributes:
        deps: what tools find as `ctx.deps`.
        timeout: seconds that a prompt or a resource may take.
        ask_timeout: seconds that a client has to answer a question.
        gate: how many calls run at once.
        runs: finished runs of agents; they outlive the lifespan.
        calls: those that run or wait.
        asking: those that have asked their client something.
        levels: least level of log messages, by session, where the client said.
        name: unguessable.
    """

    deps: Any
    timeout: float | None
    ask_timeout: float
    gate: Gate
    runs: KeptRuns
    calls: set[ServedCall] = field(default_factory=set[ServedCall])
    asking: Asking = field(default_factory=Asking)
    levels: dict[str, str] = field(default_factory=dict[str, str])
    name: str = field(default_factory=lambda: secrets.token_hex(16))
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _parked: Parked = field(init=False)
    _sessions: OrderedDict[str, Any] = field(default_factory=OrderedDict[str, Any])
    _subscriptions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _listen: ListenHandler = field(init=False)

    def __post_init__(self) -> None:
        self._listen = ListenHandler(self._bus)
        self._parked = Parked(self.ask_timeout, lambda call: self.start(call.stop()))

    # ── requests that run code ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, request: Request, params: Any, what: str, work: Work) -> Any:
        """Runs `work` for a request, over as many rounds as it asks for answers in; the result of this round.

        A client that goes away, or cancels, cancels it. Raises what `work` raises, and MCPError for answers to nothing.
        """
        if is_modern(request) and params.request_state is not None:
            call = self._parked.take_up(params.request_state, _identity(request, params, what))
            call.answer(params.input_responses or {})
        else:
            call = ServedCall(self, request)
            call.start(work(call))
        try:
            result = await call.round(request)
        except MCPError as e:  # a tool may raise it
            await call.stop()
            raise MCPError(e.code, masked(e.message), e.data) from e
        except BaseException:
            await call.stop()
            raise
        if result is None:
            return types.InputRequiredResult(
                input_requests=call.questions, request_state=self._parked.park(call, _identity(request, params, what))
            )
        return result

    # ── changes that clients want to hear of ────────────────────────────────────────────────────────────────────────────────────

    async def listen(self, request: Request, params: types.SubscriptionsListenRequestParams) -> types.SubscriptionsListenResult:
        """One stream of changes, as the modern era has it."""
        return await self._listen(request, params)

    def heard(self, request: Request) -> None:
        """A session of the handshake era is there."""
        if not is_modern(request):
            self._sessions[session_of(request)] = request.session
            self._sessions.move_to_end(session_of(request))
            if len(self._sessions) > _MOST_SESSIONS:
                self._forget_session(next(iter(self._sessions)))

    def _forget_session(self, name: str) -> None:
        self._sessions.pop(name, None)
        self.levels.pop(name, None)
        self._subscriptions.pop(name, None)

    def subscribe(self, request: Request, uri: str) -> None:
        """Raises MCPError where a session has too many."""
        uris = self._subscriptions.setdefault(session_of(request), set())
        if len(uris) >= _MOST_SUBSCRIPTIONS:
            raise MCPError(types.INTERNAL_ERROR, "Too many subscriptions")
        uris.add(uri)

    def unsubscribe(self, request: Request, uri: str) -> None:
        """Also where there was no subscription."""
        self._subscriptions.get(session_of(request), set()).discard(uri)

    def announce(self, event: ServerEvent) -> None:
        """Tells those who want to know; from any thread."""
        self.soon(lambda: self.start(self._announce(event)))

    async def _announce(self, event: ServerEvent) -> None:
        await self._bus.publish(event)
        for name, session in list(self._sessions.items()):
            if isinstance(event, ResourceUpdated) and event.uri not in self._subscriptions.get(name, ()):
                continue
            try:
                await session.send_notification(event_to_notification(event, {}))
            except Exception:  # a session that is over: nobody to tell
                self._forget_session(name)

    # ── its own tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def soon(self, action: Callable[[], object]) -> None:
        """On the loop, from any thread; nothing happens once the loop is closed."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            action()
        else:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(action)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """In a task that ends with the lifespan."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def hang_up(self) -> None:
        """Ends the streams of changes, and what runs; clients that wait for a result are told."""
        self._parked.clear()
        self._listen.close()
        with anyio.CancelScope(shield=True):
            if stopping := [asyncio.ensure_future(call.stop()) for call in list(self.calls)]:
                await asyncio.wait(stopping, timeout=_GRACE)

    async def close(self) -> None:
        """The end: nothing of it is left."""
        await self.hang_up()
        with anyio.CancelScope(shield=True):
            for task in (tasks := list(self._tasks)):
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=_GRACE)
        self._sessions.clear()


def _identity(request: Request, params: Any, what: str) -> Identity:
    """What must be the same when a call is sent again with answers."""
    return request.method, what, json.dumps(getattr(params, "arguments", None), sort_keys=True), owner_of(request)
