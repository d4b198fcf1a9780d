"""`Limiter`: what all runs of a process together may ask of an endpoint.

    limiter = Limiter(concurrency=50, requests_per_minute=200, tokens_per_minute=2_000_000)
    first = Agent(LimitedModel("kimi-k2.6", limiter))
    second = Agent(LimitedModel("kimi-k2.5", limiter))     # the two share the account's limits

One queue for all, first come, first served, over any number of event loops and threads.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf

from kimi_agent.errors import ProviderTimeout, UserError
from kimi_agent.models.per_minute import PerMinute, Taken


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody in the queue; `woken` is set on its own loop."""

    tokens: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Limiter:
    """Bounds requests, tokens and concurrency of everything that shares it.

    Those who wait are served in the order in which they came: a large request is not overtaken by small ones. One that is
    cancelled while it waits leaves nothing behind.

    Args:
        concurrency: requests that are under way at once, each until its answer has ended or was closed.
        requests_per_minute: requests begun in any 60 s.
        tokens_per_minute: tokens sent and generated in any 60 s. An estimate is taken when a request begins, and put right when
            the endpoint has reported what it counted; so the bound is as good as the estimate.
        max_wait: seconds that a request may wait here; then ProviderTimeout with phase "queue". None: any time.
        now: a clock, in seconds; for tests.

    Raises:
        UserError: where a bound is not above 0, or there is none.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        max_wait: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        bounds = {
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
        }
        _check({**bounds, "max_wait": max_wait}, any_set=any(b is not None for b in bounds.values()))
        self._bounds = ", ".join(f"{name}={bound}" for name, bound in bounds.items() if bound is not None)
        self._concurrency = inf if concurrency is None else concurrency
        self._requests = PerMinute(requests_per_minute) if requests_per_minute is not None else None
        self._tokens = PerMinute(tokens_per_minute) if tokens_per_minute is not None else None
        self._max_wait = inf if max_wait is None else max_wait
        self._now = now
        self._lock = threading.Lock()  # held for moments only, never over an await
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._running = 0

    def __repr__(self) -> str:
        return f"Limiter({self._bounds})"

    @property
    def running(self) -> int:
        """Requests under way."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def counts_tokens(self) -> bool:
        """Whether it wants to know how many tokens a request has."""
        return self._tokens is not None

    @asynccontextmanager
    async def place(self, tokens: int = 0) -> AsyncGenerator["Place"]:
        """Waits for a place, and holds it: `async with limiter.place(tokens) as place: …`.

        `tokens` is what the request is estimated to use; `place.settle` puts it right. Raises ProviderTimeout with phase "queue"
        after `max_wait` seconds.
        """
        taken = await self._acquire(tokens)
        try:
            yield Place(self, taken)
        finally:
            with self._lock:
                self._running -= 1
                self._wake_first()

    def settle(self, taken: Taken | None, tokens: int) -> None:
        """See `Place.settle`."""
        if self._tokens is None or taken is None:
            return
        with self._lock:
            self._tokens.settle(taken, tokens, self._now())
            self._wake_first()

    async def _acquire(self, tokens: int) -> Taken | None:
        waiter = _Waiter(tokens)
        end = self._now() + self._max_wait
        with self._lock:
            self._queue[waiter] = None
            if next(iter(self._queue)).loop.is_closed():
                self._drop_closed()
                self._wake_first()
        try:
            while True:
                waiter.woken.clear()
                with self._lock:
                    delay = self._delay(tokens) if next(iter(self._queue)) is waiter else inf
                    if delay <= 0:
                        return self._take(tokens)
                left = end - self._now()
                if left <= 0:
                    raise self._full()
                await _wait(waiter.woken, min(delay, left))
        finally:
            with self._lock:
                self._queue.pop(waiter, None)
                self._wake_first()  # it may find a place too, or has to set its timer

    def _delay(self, tokens: int) -> float:
        """Seconds until the first of the queue may go; `inf`: until somebody gives a place back."""
        if self._running >= self._concurrency:
            return inf
        now = self._now()
        requests = self._requests.wait(1, now) if self._requests is not None else 0.0
        return max(requests, self._tokens.wait(tokens, now) if self._tokens is not None else 0.0)

    def _take(self, tokens: int) -> Taken | None:
        now = self._now()
        self._running += 1
        if self._requests is not None:
            self._requests.take(1, now)
        return self._tokens.take(tokens, now) if self._tokens is not None else None

    def _wake_first(self) -> None:
        """Has the first of the queue look again, if it may find a place. One whose loop has closed will never look: the next."""
        while self._queue and self._running < self._concurrency:
            first = next(iter(self._queue))
            try:
                _wake(first)
                return
            except RuntimeError:
                del self._queue[first]

    def _drop_closed(self) -> None:
        """Takes those from the head of the queue whose loop has closed: nobody who came later would ever be first."""
        while self._queue and (first := next(iter(self._queue))).loop.is_closed():
            del self._queue[first]

    def _full(self) -> ProviderTimeout:
        return ProviderTimeout(
            f"time-out (queue): {self!r} had no place within {self._max_wait:g} s; {self._running} requests are under way, "
            f"{len(self._queue)} wait. Raise the limit or max_wait, or start fewer runs at once",
            phase="queue",
        )


class Place:
    """A place in a limiter, while it is held."""

    __slots__ = ("_limiter", "_taken")

    def __init__(self, limiter: Limiter, taken: Taken | None) -> None:
        self._limiter, self._taken = limiter, taken

    def settle(self, tokens: int) -> None:
        """So many tokens it really was."""
        self._limiter.settle(self._taken, tokens)


def _wake(waiter: _Waiter) -> None:
    """From any thread. Raises RuntimeError where the waiter's loop has closed."""
    try:
        same = asyncio.get_running_loop() is waiter.loop
    except RuntimeError:
        same = False
    if same:
        waiter.woken.set()  # without the write to the loop's pipe, which costs more than all the rest
    else:
        waiter.loop.call_soon_threadsafe(waiter.woken.set)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == inf else seconds):
            await event.wait()


def _check(bounds: dict[str, float | None], *, any_set: bool) -> None:
    if not any_set:
        raise UserError("a Limiter bounds something: give concurrency, requests_per_minute or tokens_per_minute")
    for name, bound in bounds.items():
        if bound is not None and bound <= 0:
            raise UserError(f"Limiter({name}={bound}): a bound is above 0, or None")
