"""How many calls run at once, and the barrier of `sequential` tools."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from kimi_agent.tooling.execute import Refused


class Gate:
    """Lets in `limit` calls at once, in the order in which they came; one that must be alone waits for those before it, and those
    behind it wait for it. It holds for all clients: they share the tools.
    """

    def __init__(self, limit: int, most_waiting: int = 1000) -> None:
        self._limit, self._most_waiting = limit, most_waiting
        self._door = asyncio.Lock()  # first come, first served
        self._freed = asyncio.Event()
        self._inside = self._waiting = 0

    def place(self) -> "Place":
        """For one call."""
        return Place(self)

    async def come_in(self, *, alone: bool) -> None:
        """Raises Refused, with a text for the client, where too many wait already."""
        if self._waiting >= self._most_waiting:
            raise Refused("The server has too many calls waiting. Make the call again later.")
        await self.come_back(alone=alone)

    async def come_back(self, *, alone: bool) -> None:
        """As `come_in`, for a call that has begun: it is not refused."""
        self._waiting += 1
        try:
            await self._door.acquire()
        finally:
            self._waiting -= 1
        try:
            while self._inside >= (1 if alone else self._limit):
                self._freed.clear()
                await self._freed.wait()
            self._inside += 1
        except BaseException:
            self._door.release()
            raise
        if not alone:
            self._door.release()

    def go_out(self, *, alone: bool) -> None:
        """Makes room."""
        self.count(-1)
        if alone:
            self._door.release()

    def count(self, change: int) -> None:
        """How many are inside has changed."""
        self._inside += change
        self._freed.set()


class Place:
    """The place of one call."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._runs = self._alone = self._inside = self._ends = False
        self._asking = 0
        self._coming_back = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, *, alone: bool) -> AsyncGenerator[None]:
        """Within the block the call runs. Raises Refused."""
        await self._gate.come_in(alone=alone)
        self._runs, self._alone, self._inside = True, alone, True
        try:
            yield
        finally:
            self._runs = False
            self._go_out()

    @asynccontextmanager
    async def left(self) -> AsyncGenerator[None]:
        """Within the block the call waits for its client: another may have its place. It comes back without waiting, but what must
        be alone waits until it is: else one client that does not answer would hold up all others."""
        self._asking += 1
        self._go_out()
        try:
            yield
        finally:
            self._asking -= 1
            await self._come_back()

    def end(self) -> None:
        """The call is being cancelled: it does not come back."""
        self._ends = True

    def _go_out(self) -> None:
        if self._inside:
            self._inside = False
            self._gate.go_out(alone=self._alone)

    async def _come_back(self) -> None:
        async with self._coming_back:
            if self._asking or self._inside or self._ends or not self._runs:
                return
            if self._alone:
                await self._gate.come_back(alone=True)
            else:
                self._gate.count(1)
            self._inside = True
            if self._asking or not self._runs:  # meanwhile it has asked something else
                self._go_out()
