"""The time-outs of one request, the same on every transport."""

import asyncio
from collections.abc import Awaitable
from math import inf
from typing import TypeVar

from kimi_agent.errors import ProviderTimeout
from kimi_agent.settings import Timeouts

T = TypeVar("T")


class Clock:
    """Bounds the steps of a call. `end` is when the whole call is over, in the loop's time."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self._time = asyncio.get_running_loop().time
        self.end = self._after(timeouts.total)
        self._first = self.end

    def start_attempt(self) -> None:
        """The time to the first byte begins again, the total does not."""
        self._first = self._after(self.timeouts.first_byte)

    def left(self) -> float:
        """Seconds until the whole call is over; `inf` without a bound."""
        return self.end - self._time()

    async def first(self, step: Awaitable[T]) -> T:
        """A step on the way to the first byte of the answer. Raises ProviderTimeout."""
        return await self._within(step, self._first, "first byte", self.timeouts.first_byte)

    async def idle(self, step: Awaitable[T]) -> T:
        """The next piece of a stream. Raises ProviderTimeout."""
        return await self._within(step, self._after(self.timeouts.idle), "idle", self.timeouts.idle)

    def _after(self, seconds: float | None) -> float:
        return inf if seconds is None else self._time() + seconds

    async def _within(self, step: Awaitable[T], until: float, phase: str, bound: float | None) -> T:
        if self.end <= until:
            until, phase, bound = self.end, "total", self.timeouts.total
        try:
            async with asyncio.timeout_at(None if until == inf else until):
                return await step
        except TimeoutError:
            what = "the call was not over" if phase == "total" else "nothing came"
            raise ProviderTimeout(f"time-out ({phase}): {what} within {bound:g} s", phase=phase) from None
