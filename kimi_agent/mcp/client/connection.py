"""One connection, owned by one task: what is entered in it is left in it, whoever asks for it, and whatever the server does.

    idle ── somebody needs it ──► starting ──► ready ── the server is lost ──► down ── needed again, not too soon ──► starting …

A connection that is lost fails the calls that it carries at once. It is made again by the next that needs it, at growing distances.
"""

import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from logging import INFO, WARNING
from typing import Any, Literal, Protocol, TypeAlias

from mcp import Client, MCPError
from mcp_types import EmptyResult, PingRequest
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from kimi_agent.errors import MCPServerError, UserError
from kimi_agent.mcp.client.causes import Lost, cause_of
from kimi_agent.mcp.client.failures import failure_of, is_closed, session_is_gone
from kimi_agent.mcp.client.lines import Tail
from kimi_agent.mcp.client.patience import patiently
from kimi_agent.redact import get_logger, redact

log = get_logger(__name__)
State: TypeAlias = Literal["idle", "starting", "ready", "down", "closed"]
PING_TIMEOUT = 10.0  # seconds for a server whose call ran out of time to say that it lives
_CLOSING = 6.0  # seconds: a server that does not let itself be closed is left to its fate
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 60.0  # seconds between attempts


class Wiring(Protocol):
    """What a connection is made of; made anew for every attempt."""

    def transport(self, tail: Tail, lost: Callable[[str], None]) -> AbstractAsyncContextManager[Any]:
        """The streams to the server."""
        ...

    def client(self, transport: Any, mode: Literal["auto", "legacy"]) -> Client:
        """The SDK's client over them."""
        ...

    async def greeted(self, live: "Live") -> None:
        """The handshake is over: what is to be said at once, such as the log level."""
        ...

    def waits_for_person(self) -> bool:
        """Whether somebody is being asked something, or to sign in: people take longer than machines."""
        ...

    def attend(self, live: "Live") -> Awaitable[None] | None:
        """What goes on beside for as long as the connection lasts, if anything does."""
        ...


@dataclass(slots=True, eq=False)
class Live:
    """A connection that is up.

    Attributes:
        carries_all: whether all requests go one way, so that all are lost with it; over HTTP each goes its own.
        over: set when it is to end; `why` says why.
        under_way: requests that it carries.
        before_calls: what the first calls have to wait for, if for anything.
        doubtful: a call was given up on it: whether the server still lives is to be asked before it is relied on.
    """

    client: Client
    carries_all: bool = True
    over: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    doubtful: bool = False
    under_way: int = 0
    before_calls: Callable[[], Awaitable[None]] | None = None
    asking: asyncio.Task[bool] | None = None

    @property
    def is_modern(self) -> bool:
        """Whether it speaks a protocol without sessions (2026-07-28 and later)."""
        return self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    @asynccontextmanager
    async def carrying(self) -> AsyncGenerator[None]:
        """For as long as a request goes on."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def lose(self, why: str) -> None:
        """It is of no use any more."""
        if not self.over.is_set():
            self.why = why
            self.over.set()


class Connection:
    """The connection of one server in one event loop.

    Attributes:
        state: where it is in its life.
        error: why it is down, for people; "" where it is not.
        restarts: how often it was made again.
    """

    def __init__(
        self,
        name: str,
        wiring: Wiring,
        start_timeout: float,
        *,
        carries_all: bool = True,
        ping_timeout: float = PING_TIMEOUT,
    ) -> None:
        self._name, self._wiring, self._start_timeout = name, wiring, start_timeout
        self._carries_all, self._ping_timeout = carries_all, ping_timeout
        self._loop = asyncio.get_running_loop()
        self._tail = Tail()
        self._owner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Live] | None = None
        self._not_before = 0.0
        self._delay = 0.0
        self._worked = False
        self._mode: Literal["auto", "legacy"] = "auto"
        self.live: Live | None = None
        self.state: State = "idle"
        self.error = ""
        self.restarts = 0

    async def ready(self, *, patient: bool = False) -> Live:
        """The connection, made if need be. Where the last attempt failed a moment ago, it is `patient` and waits, or raises.

        Raises MCPServerError, with the cause.
        """
        live = self.live
        if live is not None and await self._is_alive(live):
            return live
        if self._owner is not None and self._opened is not None and self._opened.done():
            await asyncio.wait([self._owner])  # the last one is being closed
        self._check_open()
        if self._owner is None:
            await self._wait_for_turn(patient)
            self._check_open()  # it may have been closed meanwhile
        if self._owner is None:
            self._begin()
        assert self._opened is not None
        return await asyncio.shield(self._opened)

    def _check_open(self) -> None:
        if self.state == "closed":
            raise MCPServerError(f"the MCP server {self._name!r} was closed", server=self._name)

    async def _wait_for_turn(self, patient: bool) -> None:
        left = self._not_before - time.monotonic()
        if left > 0 and not patient:
            raise MCPServerError(f"{self.error}; it is tried again in {left:.1f} s", server=self._name)
        if left > 0:
            await asyncio.sleep(left)

    def _begin(self) -> None:
        self.restarts += self.state == "down"
        self.state = "starting"
        self._opened = self._loop.create_future()
        self._opened.add_done_callback(_heard)
        # In a context of its own: it outlives the run that asked for it first, and must not carry that run's variables.
        self._owner = self._loop.create_task(
            self._own(self._opened), name=f"MCP server {self._name}", context=contextvars.Context()
        )

    async def _own(self, opened: asyncio.Future[Live]) -> None:
        """The whole life of one connection."""
        why, ended = "", False
        try:
            async with self._entered() as live:
                self.live, self.state, self.error = live, "ready", ""
                opened.set_result(live)
                begun = time.monotonic()
                await live.over.wait()
                why = live.why
                self.live = None  # nobody begins anything on it while it is being closed
            if time.monotonic() - begun > _LONGEST_DELAY:
                self._delay = 0.0
        except asyncio.CancelledError:
            ended = True
            raise
        except (Exception, BaseExceptionGroup) as e:
            why = why or cause_of(e, self._start_timeout)
        finally:
            self.live = None
            self._over(why, opened, ended)

    def _over(self, why: str, opened: asyncio.Future[Live], ended: bool) -> None:
        self._owner = None
        if self.state == "closed" or ended:
            error = MCPServerError(f"the MCP server {self._name!r} was closed", server=self._name)
            self.state = "closed" if self.state == "closed" else "idle"
        else:
            said = self._tail.last_lines()
            self.error = redact(f"the MCP server {self._name!r} {why}" + (f"; its last words:\n{said}" if said else ""))
            error = MCPServerError(self.error, server=self._name)
            self.state = "down"
            self._not_before = time.monotonic() + self._delay
            self._delay = min(max(_FIRST_DELAY, self._delay * 2), _LONGEST_DELAY)
            log.log(WARNING if self._worked else INFO, "%s", self.error)
        if not opened.done():
            opened.set_exception(error)

    def waits_for_person(self) -> bool:
        """Whether somebody is being asked something: the clock of a request stands still meanwhile."""
        return self._wiring.waits_for_person()

    def settled(self) -> None:
        """A request was answered: it works, and the next attempt after a loss need not wait."""
        self._delay = 0.0
        self._worked = True

    @asynccontextmanager
    async def _entered(self) -> AsyncGenerator[Live]:
        """The connection, entered within the time-out, and left within another."""
        stack, failure = AsyncExitStack(), None
        try:
            async with patiently(self._start_timeout, self._wiring.waits_for_person):
                live = await self._greet(stack)
            yield live
        except BaseException as e:
            failure = e
            raise
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING):  # what failed goes through all of it: task groups tell by it who cancelled
                    await stack.__aexit__(type(failure) if failure else None, failure, failure.__traceback__ if failure else None)

    async def _greet(self, stack: AsyncExitStack) -> Live:
        """Negotiates. An old server that cannot bear to be asked for its versions is started again and greeted as it is used to."""
        try:
            return await self._connect(stack, self._mode)
        except Lost:
            if self._mode == "legacy":
                raise
        await stack.aclose()
        live = await self._connect(stack, "legacy")
        self._mode = "legacy"
        return live

    async def _connect(self, stack: AsyncExitStack, mode: Literal["auto", "legacy"]) -> Live:
        self._tail.clear()
        self._worked = False
        lost: list[str] = []
        found: list[Live] = []

        def on_lost(why: str) -> None:
            lost.append(why)
            for live in found:
                live.lose(why)

        client = self._wiring.client(self._wiring.transport(self._tail, on_lost), mode)
        try:
            await stack.enter_async_context(client)
        except (MCPError, ExceptionGroup) as e:
            if lost:
                raise Lost(lost[0]) from e
            raise
        live = Live(client, carries_all=self._carries_all)
        found.append(live)
        if lost:
            raise Lost(lost[0])
        await self._wiring.greeted(live)
        if (beside := self._wiring.attend(live)) is not None:
            task = asyncio.ensure_future(beside)
            stack.push_async_callback(_ended, task)
        return live

    def doubt(self, live: Live, *, at_once: bool = False) -> None:
        """A call on it was given up. Whether the server lives is found out before it is used again, or `at_once`."""
        live.doubtful = True
        if at_once and live.asking is None and not live.over.is_set():
            live.asking = self._loop.create_task(self._ask(live), context=contextvars.Context())

    async def _is_alive(self, live: Live) -> bool:
        if live.over.is_set():
            return False
        if live.doubtful:
            if live.asking is None:
                live.asking = self._loop.create_task(self._ask(live), context=contextvars.Context())
            return await asyncio.shield(live.asking)
        return True

    async def _ask(self, live: Live) -> bool:
        """Whether it answers; one that does not is given up, unless it has other calls under way: a server that does one thing at a
        time answers no ping meanwhile, and their own clocks tell when it is too long."""
        try:
            async with asyncio.timeout(self._ping_timeout):
                await pinged(live)
            live.doubtful = False
        except TimeoutError:
            if not live.under_way:
                live.lose(f"hangs: it answered no ping within {self._ping_timeout:g} s")
        except MCPError as e:
            failure = failure_of(e)
            if is_closed(e):
                live.lose("closed the connection")
            elif session_is_gone(e) or (failure is not None and failure.session and failure.status == 404):
                live.lose("has forgotten its session")
            else:
                live.doubtful = False  # an error is an answer
        except Exception as e:
            live.lose(f"failed at a ping: {cause_of(e, self._ping_timeout)}")
        finally:
            live.asking = None
        return not live.over.is_set()

    async def aclose(self) -> None:
        """Ends it for good; what it carried fails."""
        if asyncio.get_running_loop() is not self._loop:
            raise UserError(f"the MCP server {self._name!r} is closed in the event loop that it was used in")
        self.state = "closed"
        if (owner := self._owner) is not None:
            if self.live is not None:
                self.live.lose("was closed")
            else:
                owner.cancel()
            await asyncio.wait([owner])


async def pinged(live: Live) -> None:
    """Returns once the server has answered that it lives. Raises MCPError: mostly an answer as well."""
    if live.is_modern:
        await live.client.session.send_discover(live.client.protocol_version)
    else:
        await live.client.session.send_request(PingRequest(), EmptyResult)


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _heard(future: asyncio.Future[Any]) -> None:
    """A failure that nobody waits for any more is no news for asyncio's handler."""
    if not future.cancelled():
        future.exception()
