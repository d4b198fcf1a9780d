"""A run is drawn while it goes on, and lends its screen to whoever must ask the user something."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol

from kimi_agent.cli.interrupt import on_interrupt
from kimi_agent.events import Event
from kimi_agent.stream import RunStream


class Draw(Protocol):
    """What draws events."""

    def __call__(self, event: Event, /) -> None:
        """Draws one event."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """While it draws nothing."""
        ...


class Watch:
    """`await watch(stream)` draws a run to its end; Ctrl-C cancels it, and it ends in order."""

    def __init__(self, draw: Draw, *, patience: int = 1) -> None:
        """`patience`: Ctrl-C more often than that does not wait for the run's end."""
        self._draw, self._patience = draw, patience
        self._free = asyncio.Event()
        self._free.set()
        self._asking = asyncio.Lock()

    async def __call__(self, stream: RunStream) -> None:
        """Raises what the run raises."""
        with on_interrupt(stream.request_cancel, patience=self._patience):
            async with stream:
                async for event in stream:
                    await self._free.wait()
                    self._draw(event)

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None]:
        """The screen, for one who asks at a time; events wait until it is given back."""
        async with self._asking:
            for _ in range(3):  # the reader of the events is woken, and draws what led to the question
                await asyncio.sleep(0)
            self._free.clear()
            try:
                with self._draw.paused():
                    yield
            finally:
                self._free.set()
