"""stdio: one client, over the program's own input and output; whatever else is printed goes to standard error.

The descriptors are ours, and so are the threads that read and write them: one that waits for a client which says and reads nothing
cannot be stopped, and asyncio's would hold up the end of the program.
"""

import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from functools import partial
from typing import Any

import anyio
from mcp.server.stdio import stdio_server

from kimi_agent.errors import UserError
from kimi_agent.mcp.server.handlers import ServedServer
from kimi_agent.tooling.workers import WorkerPool

_CHUNK = 65_536
_served = threading.Lock()


async def serve(server: ServedServer) -> None:
    """Until the input ends, or it is cancelled. Raises UserError where it is served already."""
    if not _served.acquire(blocking=False):
        raise UserError("standard input and output are served already: one server a process")
    try:
        with contextlib.ExitStack() as stack:
            lines: Any = None
            output: Any = None
            if sys.platform != "win32":  # where descriptors are not all: the SDK knows what else
                pool = WorkerPool(2)
                output = _Output(stack.enter_context(_taken(1, partial(os.dup, 2))), pool)
                lines = _Lines(stack.enter_context(_taken(0, partial(os.open, os.devnull, os.O_RDONLY))), pool)
            async with stdio_server(lines, output) as (read, write):
                with contextlib.redirect_stdout(sys.stderr):
                    await server.run(read, write, server.create_initialization_options())
    finally:
        _served.release()


@contextlib.contextmanager
def _taken(descriptor: int, instead: Any) -> Generator[int]:
    """A descriptor of the program for us alone; tools and their children find something else in its place. The copy is not closed:
    a thread may wait on it still, and the number would soon be another file's."""
    if descriptor == 1:
        sys.stdout.flush()
    private, other = os.dup(descriptor), instead()
    os.dup2(other, descriptor)
    os.close(other)
    try:
        yield private
    finally:
        os.dup2(private, descriptor)


class _Lines:
    """The lines of the input."""

    def __init__(self, descriptor: int, pool: WorkerPool) -> None:
        self._descriptor, self._pool = descriptor, pool
        self._kept = bytearray()

    async def __aiter__(self) -> AsyncGenerator[str]:
        while line := await self._pool.run(self._line):
            yield line.decode("utf-8", "replace")

    def _line(self) -> bytes:
        """The next line, b"" at the end."""
        kept, start = self._kept, 0
        while (end := kept.find(b"\n", start)) < 0:
            start = len(kept)
            chunk = os.read(self._descriptor, _CHUNK)
            if not chunk:
                end = len(kept) - 1
                break
            kept += chunk
        line = bytes(kept[: end + 1])
        del kept[: end + 1]
        return line


class _Output:
    """Where messages are written."""

    def __init__(self, descriptor: int, pool: WorkerPool) -> None:
        self._descriptor, self._pool = descriptor, pool

    async def write(self, text: str) -> None:
        """All of it, however slowly the client reads. Raises ClosedResourceError where it does not read any more."""
        try:
            await self._pool.run(partial(self._write, memoryview(text.encode("utf-8", "replace"))))
        except OSError as e:
            raise anyio.ClosedResourceError from e

    async def flush(self) -> None:
        """Nothing is held back."""

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
