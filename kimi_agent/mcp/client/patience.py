"""A time-out that stands still while a person is asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

_LOOKS = 0.25  # seconds between looks


@asynccontextmanager
async def patiently(seconds: float | None, waits: Callable[[], bool]) -> AsyncGenerator[None]:
    """Raises TimeoutError after `seconds` in which nobody was asked; None: never. Who asks a person has a time-out of its own."""
    if seconds is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def look(clock: asyncio.Timeout) -> None:
        if waits():
            clock.reschedule(loop.time() + seconds)
        pending[0] = loop.call_later(_LOOKS, look, clock)

    async with asyncio.timeout(seconds) as clock:
        pending = [loop.call_later(_LOOKS, look, clock)]
        try:
            yield
        finally:
            pending[0].cancel()
