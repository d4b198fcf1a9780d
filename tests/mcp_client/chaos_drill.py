"""What every drill needs: a chaos server, an agent that calls it, what came of it, and whether anything was left behind."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kimi_agent import Agent, ScriptedModel, ToolEnd, call, tool
from kimi_agent.mcp.client.server import MCPServer

CHAOS = Path(__file__).with_name("chaos.py")
_PATIENCE = 30.0  # seconds for what must not hang: far above every time-out that the drills set


@dataclass
class Chaos:
    """A chaos server and the client to it.

    Attributes:
        record: the file that the server writes.
        server: the client.
        options: of the server, as on its command line.
    """

    record: Path
    server: MCPServer
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def events(self, event: str) -> list[dict[str, Any]]:
        """What the server wrote."""
        if not self.record.exists():
            return []
        return [each for each in map(json.loads, self.record.read_text().splitlines()) if each["event"] == event]

    def effects(self, label: str) -> int:
        """How often this call took effect."""
        return sum(each["label"] == label for each in self.events("effect"))

    def pids(self) -> set[int]:
        """All processes that were started, those that the server started too; not those that left its group."""
        return {each["pid"] for each in self.events("start")} | {each["child"] for each in self.events("child")}

    async def until(self, ready: Callable[[], bool]) -> None:
        """Waits for what must come."""
        async with asyncio.timeout(_PATIENCE):
            while not ready():  # noqa: ASYNC110 – it is another process that gets ready
                await asyncio.sleep(0.01)


@asynccontextmanager
async def chaos(
    directory: Path, *options: str, how: str = "stdio", port: int = 0, alone: bool = True, **client: Any
) -> AsyncIterator[Chaos]:
    """A chaos server, a client to it, and the proof at the end that nothing is left of either.

    `how` is "stdio", "http" or "sse". Those over HTTP run in a process that the test starts. Of several, the outermost is `alone`:
    the others' proof is about their processes only, since the tasks of those around them still run.
    """
    async with nothing_left(alone) as left:
        record = directory / f"{client.get('name', 'chaos')}.jsonl"
        process = None
        if how == "stdio":
            server = MCPServer(
                sys.executable, "-E", "-S", str(CHAOS), str(record), *options, **{"name": "chaos", "ping_timeout": 1.0, **client}
            )
        else:
            process = start(record, f"{how}={port}", *options)
            port = await _port_of(record)
            url = f"http://127.0.0.1:{port}/{'sse' if how == 'sse' else 'mcp'}"
            server = MCPServer(url=url, transport=how, **{"name": "chaos", "ping_timeout": 1.0, **client})
        made = Chaos(record, server, options, process)
        try:
            yield made
        finally:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await server.aclose()
            finally:
                if process is not None:
                    process.kill()
                    process.wait()
        left.pids = made.pids()


def start(record: Path, *options: str) -> "subprocess.Popen[bytes]":
    """A chaos server of the test's own, over HTTP."""
    command = [sys.executable, "-E", "-S", str(CHAOS), str(record), *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


async def _port_of(record: Path) -> int:
    found = Chaos(record, None)  # type: ignore[arg-type]
    await found.until(lambda: bool(found.events("listening")))
    return int(found.events("listening")[-1]["port"])


@dataclass
class Left:
    """What `nothing_left` has to look for beside this process's own."""

    pids: set[int] = field(default_factory=set[int])


@asynccontextmanager
async def nothing_left(alone: bool = True) -> AsyncIterator[Left]:
    """Raises AssertionError if a process, thread, task or file of what ran inside is still there a moment later."""
    tasks, threads, files = asyncio.all_tasks(), set(threading.enumerate()), _files()
    left = Left()
    yield left
    deadline = time.monotonic() + 2

    def others() -> bool:
        return bool(_files() - files or asyncio.all_tasks() - tasks or _new_threads(threads))

    while time.monotonic() < deadline and (alive(left.pids) or (alone and others())):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert not alive(left.pids), f"processes are left: {alive(left.pids)}"
    if not alone:
        return
    assert not asyncio.all_tasks() - tasks, f"tasks are left: {asyncio.all_tasks() - tasks}"
    assert not _new_threads(threads), f"threads are left: {_new_threads(threads)}"
    assert not _files() - files, f"files are left open: {_files() - files}"


def _new_threads(before: set[threading.Thread]) -> list[str]:
    """Threads that were not there. Those of the event loop and of the pool for sync tools stay for the next that needs one."""
    pools = ("asyncio_", "AnyIO", "kimi-agent-tool")
    return [t.name for t in threading.enumerate() if t not in before and not t.name.startswith(pools)]


def alive(pids: set[int]) -> dict[int, str]:
    """Those that run; one that is dead and not collected yet by its parent, which may be none of ours, does not."""
    found: dict[int, str] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200]
    return found


def _files() -> set[tuple[str, str]]:
    """The open files of this process, each with its number."""
    found: set[tuple[str, str]] = set()
    with contextlib.suppress(FileNotFoundError):  # there is no /proc
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return {each for each in found if not each[1].startswith("/proc/")}


@dataclass(frozen=True)
class Ran:
    """What came of a run: its results in the order of the calls, how many seconds each took, and the tools in the order in which
    they ended."""

    texts: list[str]
    errors: list[bool]
    seconds: list[float]
    ended: list[str]
    stop_reason: str
    output: Any
    model: ScriptedModel


@tool
async def lamp(name: str) -> str:
    """A tool of the program's own, which must not suffer."""
    return f"{name} is on"


@tool
async def nap() -> str:
    """Takes three seconds: what has a time-out of one is over before."""
    await asyncio.sleep(3)
    return "slept"


def do(label: str, what: str = "ok", /, *, by: str = "do", **more: Any) -> Any:
    """A call of the chaos server's tool."""
    return call(by, what=what, label=label, **more)


async def run(server: Any, *turns: Any, agent: Agent | None = None) -> Ran:
    """An agent with this server (or several) and a tool of its own plays these turns; each may be a call or a list of calls."""
    model = ScriptedModel([*turns, "Done."])
    servers = server if isinstance(server, list | tuple) else [server]
    agent = agent or Agent(model, tools=[*servers, lamp])
    ends: dict[str, ToolEnd] = {}
    async with asyncio.timeout(_PATIENCE), agent.with_(model=model).stream("Go.") as stream:
        async for event in stream:
            if isinstance(event, ToolEnd):
                ends[event.call.id] = event
    results = [m for m in stream.result.messages if m.__class__.__name__ == "ToolMessage"]
    model.assert_complete()
    return Ran(
        [m.text for m in results],
        [m.is_error for m in results],
        [ends[m.call_id].seconds if m.call_id in ends else 0.0 for m in results],
        [end.call.name for end in ends.values()],
        stream.result.stop_reason,
        stream.result.output,
        model,
    )


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A URL that nobody should ask for, and what it was asked."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/it", heard


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
