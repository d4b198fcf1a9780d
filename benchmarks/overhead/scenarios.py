"""What is measured: the scenarios, and the tools that they call. Peers import this file too: nothing but the standard library."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.overhead.script import Script

NAP = 0.05  # seconds that a slow tool takes
ToolFunction = Callable[..., Any]


@dataclass(slots=True)
class Tally:
    """What the tools saw: calls in all, and the most that ran at once."""

    calls: int = 0
    running: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """A slow tool begins; from any thread."""
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)

    def end(self) -> None:
        """It is over."""
        with self.lock:
            self.running -= 1


tally = Tally()
stamps: list[float] = []  # CPU seconds of this process at each call of `add`


async def add(a: int, b: int) -> str:
    """Add two integers.

    Args:
        a: The first number.
        b: The second number.
    """
    tally.calls += 1
    stamps.append(time.process_time())
    return str(a + b)


async def write(text: str) -> str:
    """Store a text.

    Args:
        text: The text to store.
    """
    tally.calls += 1
    return str(len(text))


async def nap(i: int) -> str:
    """Wait without blocking.

    Args:
        i: A number to give back.
    """
    tally.begin()
    await asyncio.sleep(NAP)
    tally.end()
    return str(i)


def block(i: int) -> str:
    """Wait and block the thread.

    Args:
        i: A number to give back.
    """
    tally.begin()
    time.sleep(NAP)
    tally.end()
    return str(i)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one process does.

    Attributes:
        name: on the command line.
        title: in the report.
        script: what the model does in each run.
        tool: what it calls.
        stream: whether answers are asked for as streams.
        width: runs at once.
        repeat: how often all of it is measured, after one run that warms up; 1 measures the first.
        rounds: share of the rounds that were asked for; long scenarios take fewer.
        own_agents: one agent a run, in place of one for all.
        one_core: the process is held on one core, where the system can do that.
        light_only: left out for the official client and the peers: their cost grows with the square of the turns.
    """

    name: str
    title: str
    script: Script
    tool: ToolFunction
    stream: bool = False
    width: int = 1
    repeat: int = 1
    rounds: float = 1.0
    own_agents: bool = False
    one_core: bool = False
    light_only: bool = False

    @property
    def tool_calls(self) -> int:
        """Tool calls of all runs of one repetition."""
        return (self.script.turns - 1) * self.script.calls * self.width


SCENARIOS = {
    s.name: s
    for s in (
        Scenario(name="sequential", title="Ten tool turns and an answer", script=Script(11, 1, "add"), tool=add, repeat=21),
        Scenario(
            name="deltas",
            title="The same, streamed, 200 argument deltas a call",
            script=Script(11, 1, "write", deltas=200),
            tool=write,
            stream=True,
            repeat=11,
        ),
        Scenario(
            name="async_tools", title="Eight async tools in one turn, 50 ms each", script=Script(2, 8, "nap"), tool=nap, repeat=7
        ),
        Scenario(
            name="blocking_tools",
            title="Eight blocking tools in one turn, 50 ms each",
            script=Script(2, 8, "block"),
            tool=block,
            repeat=7,
        ),
        Scenario(
            name="concurrent_runs",
            title="200 runs at once, five model calls each, the model thinks 100 ms",
            script=Script(5, 1, "add", delay_ms=100),
            tool=add,
            width=200,
            repeat=3,
            rounds=0.6,
        ),
        Scenario(name="long_run", title="300 turns in one run", script=Script(300, 1, "add"), tool=add, rounds=0.6),
        Scenario(
            name="very_long_run",
            title="1,000 turns in one run",
            script=Script(1000, 1, "add"),
            tool=add,
            rounds=0.4,
            light_only=True,
        ),
        Scenario(
            name="thousand_agents",
            title="1,000 agents at once on one core, five model calls each, the model thinks 100 ms",
            script=Script(5, 1, "add", delay_ms=100),
            tool=add,
            width=1000,
            rounds=0.4,
            own_agents=True,
            one_core=True,
            light_only=True,
        ),
    )
}
