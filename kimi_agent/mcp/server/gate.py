"""How many calls run at once, and the barrier of `sequential` tools."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

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
        self._taken = False
        self._asking = 0

    @asynccontextmanager
    async def taken(self, *, alone: bool) -> AsyncGenerator[None]:
        """Within the block the call runs. Raises Refused."""
        await self._gate.come_in(alone=alone)
        self._taken = True
        try:
            yield
        finally:
            self._taken = False
            self._gate.go_out(alone=alone)

    @contextmanager
    def left(self) -> Generator[None]:
        """Within the block the call waits for its client: another may have its place. It comes back without waiting; what must be
        alone stays alone."""
        self._asking += 1
        left = self._taken and self._asking == 1
        if left:
            self._gate.count(-1)
        try:
            yield
        finally:
            self._asking -= 1
            if left:
                self._gate.count(1)
