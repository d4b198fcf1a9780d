"""A server as a child process that speaks JSON-RPC on its standard streams, one message a line.

Unlike the SDK's transport, this one notices at once that the process ended (a grandchild may keep its pipes open for ever), bounds
what a line may hold, and drains stderr, of which the last lines tell why a server failed.
"""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest

from kimi_agent.mcp.client.failures import Failure, error_of
from kimi_agent.mcp.client.lines import Lines, LineTooLong, Tail
from kimi_agent.mcp.client.mending import read_message
from kimi_agent.redact import get_logger

log = get_logger(__name__)
_INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")  # beside what the SDK's list has; never a key
_CHUNK = 65_536
_GRACE = 1.0  # seconds for each step of the way out: closed stdin, SIGTERM, SIGKILL
_LAST_WORDS = 0.3  # seconds for what a process that has ended left in its pipe
_DEAF = "does not read its stdin any more"
_POSIX = os.name == "posix"

_In: TypeAlias = MemoryObjectReceiveStream[SessionMessage | Exception]
_Out: TypeAlias = MemoryObjectSendStream[SessionMessage]


@dataclass(frozen=True, slots=True)
class Command:
    """What is started. `env` is added to the few variables that a server inherits, such as PATH and HOME."""

    program: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | Path | None = None


class _Protocol(SubprocessStreamProtocol):
    """Tells that the process has ended, whoever still holds its pipes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.ended.set()


@asynccontextmanager
async def stdio_transport(command: Command, tail: Tail, lost: Callable[[str], None]) -> AsyncGenerator[tuple[_In, _Out]]:
    """Starts the command; the streams that a session of the SDK speaks through.

    `lost` is called once, with the reason, when no answer can come any more. Leaving it ends the process and what it started.
    Raises FileNotFoundError where there is no such program, and OSError.
    """
    child = await _Child.start(command, tail, lost)
    try:
        async with anyio.create_task_group() as group:
            child.work(group)
            try:
                yield child.incoming, child.outgoing
            finally:
                child.closing = True
                await _whatever_comes(child.end())
                group.cancel_scope.cancel()
    finally:
        child.release()


class _Child:
    """One process and its pipes."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, protocol: _Protocol, tail: Tail, lost: Callable[[str], None]
    ) -> None:
        self._process = Process(transport, protocol, asyncio.get_running_loop())
        self._transport, self._protocol, self._tail, self._lost = transport, protocol, tail, lost
        self._to_session, self.incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self.outgoing, self._from_session = anyio.create_memory_object_stream[SessionMessage](0)
        self._garbage = 0
        self._read_all = asyncio.Event()
        self.closing = False

    @classmethod
    async def start(cls, command: Command, tail: Tail, lost: Callable[[str], None]) -> "_Child":
        env = get_default_environment() | {n: os.environ[n] for n in _INHERITED if n in os.environ} | dict(command.env)
        program = shutil.which(command.program, path=env.get("PATH"))
        if program is None:
            raise FileNotFoundError(f"there is no program {command.program!r} on the PATH")
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(loop),
            program,
            *command.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE if _POSIX else DEVNULL,
            env=env,
            cwd=command.cwd,
            start_new_session=_POSIX,  # a group of its own: what it starts can be ended with it, and Ctrl-C is not for it
        )
        return cls(transport, protocol, tail, lost)

    def work(self, group: TaskGroup) -> None:
        """Everything that goes on as long as it lives."""
        self._group = group
        for job in (self.read, self.write, self.drain, self.watch):
            group.start_soon(job)

    async def read(self) -> None:
        """Its stdout, to the session."""
        assert self._process.stdout is not None
        lines = Lines()
        try:
            while chunk := await self._process.stdout.read(_CHUNK):
                for line in lines.feed(chunk):
                    await self._take(line)
            await _within(_LAST_WORDS, self._protocol.ended.wait())  # the exit code tells more
            self._over("closed its stdout")
        except LineTooLong as e:
            self._over(str(e))
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as e:
            self._over(f"cannot be read from ({type(e).__name__})")
        finally:
            self._read_all.set()

    async def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        message = read_message(line)
        if message is None:
            self._garbage += 1
            if self._garbage == 1:
                log.warning("an MCP server prints what is no message on its stdout; it is left out: %r", line[:200])
            return
        await self._to_session.send(SessionMessage(message))

    async def write(self) -> None:
        """What the session says, to its stdin."""
        stdin = self._process.stdin
        assert stdin is not None
        broken = False
        async for item in self._from_session:
            try:
                if not broken:
                    stdin.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                    await stdin.drain()
            except (OSError, RuntimeError):  # RuntimeError: the transport is closed
                broken = True
                await _within(_LAST_WORDS, self._protocol.ended.wait())  # mostly it has ended, and the exit code tells more
                self._group.start_soon(self._deaf)
            if broken:
                await self._unsent(item)

    async def _deaf(self) -> None:
        """Its stdin is closed."""
        await asyncio.sleep(0)  # what was not sent is told first
        self._over(_DEAF)

    async def _unsent(self, item: SessionMessage) -> None:
        """A line that could not be written to its end was never read: the request can be sent again to another process."""
        if isinstance(item.message, JSONRPCRequest):
            error = error_of(self._death or _DEAF, Failure(seen=False))
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await self._to_session.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=item.message.id, error=error)))

    async def drain(self) -> None:
        """Its stderr: a pipe that nobody reads stops the server once it is full."""
        stderr = self._process.stderr
        with suppress(OSError):
            while stderr is not None and (chunk := await stderr.read(_CHUNK)):
                self._tail.feed(chunk)

    async def watch(self) -> None:
        """Notices its end."""
        await self._protocol.ended.wait()
        with anyio.move_on_after(_LAST_WORDS):
            await self._read_all.wait()
        await asyncio.sleep(0)  # its last words on stderr lie ready
        self._over("")

    def _over(self, why: str) -> None:
        """No answer can come any more: the session hears of it, and so does the owner."""
        self._to_session.close()
        if not self.closing:
            self.closing = True
            self._lost(self._death or why)

    @property
    def _death(self) -> str:
        """How it ended, "" while it lives."""
        if not self._protocol.ended.is_set():
            return ""
        code = self._process.returncode
        return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"

    async def end(self) -> None:
        """The way out: closed stdin, SIGTERM, SIGKILL, each with its grace; then whatever of its group is left."""
        self.incoming.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        for step in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if await _within(_GRACE, self._protocol.ended.wait()):
                break
            self._signal(step)
        await _within(_GRACE, self._protocol.ended.wait())
        if self._signal(signal.SIGTERM) and not await self._group_gone():
            self._signal(signal.SIGKILL)

    async def _group_gone(self) -> bool:
        for _ in range(20):
            if not self._signal(0):
                return True
            await asyncio.sleep(_GRACE / 20)
        return False

    def _signal(self, number: int) -> bool:
        """To the whole group, where there are groups; whether there was anybody to hear it."""
        try:
            if _POSIX:
                os.killpg(self._process.pid, number)
            elif self._process.returncode is None:
                self._process.terminate()
            else:
                return False
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def release(self) -> None:
        """Closes our ends of everything."""
        for stream in (self._to_session, self.incoming, self.outgoing, self._from_session):
            stream.close()
        with suppress(PermissionError):
            self._transport.close()  # a grandchild may hold the other ends open: nobody else would close ours


async def _within(seconds: float, waiting: Awaitable[object]) -> bool:
    with anyio.move_on_after(seconds):
        await waiting
        return True
    return False


async def _whatever_comes(ending: Awaitable[None]) -> None:
    """To its end, whoever cancels meanwhile: else the process would be left behind. All its waits are bounded."""
    task = asyncio.ensure_future(ending)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):  # anyio cancels again and again, asyncio once
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as e:
                cancelled = e
    if cancelled is not None:
        raise cancelled
    task.result()
