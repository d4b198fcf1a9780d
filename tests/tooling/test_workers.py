"""Threads for synchronous tools: many at once, and none of them able to take the process along."""

import asyncio
import contextvars
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from calling import answer, answers

from kimi_agent import call, tool
from kimi_agent.tooling.workers import ThreadExit, WorkerPool

pytestmark = pytest.mark.anyio

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A script of a user's, in an interpreter of its own that must come to its end."""
    return subprocess.run([sys.executable, "-c", inspect.cleandoc(code)], capture_output=True, text=True, timeout=30, check=False)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - threads set no asyncio.Event
            await asyncio.sleep(0.005)


async def test_synchronous_tools_run_side_by_side() -> None:
    all_there = threading.Barrier(8)

    def wait(n: int) -> int:
        all_there.wait(20)  # breaks unless eight run at once
        return n

    said = await answers([wait], *(call("wait", n=n) for n in range(8)))
    assert [m.text for m in said] == [str(n) for n in range(8)], "answered in the order of the calls"


async def test_the_loop_goes_on_while_tools_wait() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await WorkerPool().run(lambda: time.sleep(0.1))
    ticker.cancel()
    assert ticks >= 5


async def test_context_variables_are_seen_in_the_thread_and_stay_the_callers_own() -> None:
    def who() -> str:
        seen = user.get()
        user.set("somebody else")
        return seen

    async def who_async() -> str:
        return who()

    token = user.set("Ada")
    try:
        assert [await answer(who), await answer(who_async), user.get()] == ["Ada", "Ada", "Ada"]
    finally:
        user.reset(token)


async def test_no_more_threads_than_places() -> None:
    pool, lock = WorkerPool(max_workers=3), threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    await asyncio.gather(*(pool.run(work) for _ in range(20)))
    assert most == 3


async def test_threads_are_used_again() -> None:
    pool = WorkerPool()
    names = [await pool.run(threading.get_ident) for _ in range(20)]
    assert len(set(names)) < 5


async def test_a_time_out_frees_the_place_at_once() -> None:
    pool, gate, begun, finished = WorkerPool(max_workers=2), threading.Event(), list[int](), list[int]()

    def hang() -> None:
        begun.append(1)
        gate.wait(20)
        finished.append(1)

    for n in range(3):  # more than there are places
        hung = [asyncio.create_task(pool.run(hang)) for _ in range(2)]
        await eventually(lambda n=n: len(begun) == 2 * n + 2)
        for task in hung:
            task.cancel()
        await asyncio.wait(hung)
    assert await asyncio.wait_for(pool.run(lambda: "free"), 2) == "free"
    gate.set()
    await eventually(lambda: len(finished) == 6)
    assert await pool.run(lambda: "still there") == "still there"


async def test_those_who_wait_for_a_place_get_that_of_an_abandoned_thread() -> None:
    pool, gate = WorkerPool(max_workers=1), threading.Event()
    hung = asyncio.create_task(pool.run(lambda: gate.wait(20)))
    await asyncio.sleep(0.02)
    waiting = [asyncio.create_task(pool.run(lambda n=n: n)) for n in range(3)]
    await asyncio.sleep(0.02)
    assert not any(w.done() for w in waiting)
    hung.cancel()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 2) == [0, 1, 2]
    gate.set()


async def test_who_gives_up_before_its_turn_never_runs() -> None:
    pool, gate, ran = WorkerPool(max_workers=1), threading.Event(), []
    busy = asyncio.create_task(pool.run(lambda: gate.wait(20)))
    await asyncio.sleep(0.02)
    queued = asyncio.create_task(pool.run(lambda: ran.append(1)))
    await asyncio.sleep(0.02)
    queued.cancel()
    await asyncio.wait([queued])
    gate.set()
    await busy
    assert await pool.run(lambda: "next") == "next"
    assert ran == []


async def test_places_are_counted_right_under_load() -> None:
    """Cancelled at every moment of their lives, jobs neither lose places nor win some."""
    pool = WorkerPool(max_workers=4)

    async def one(n: int) -> None:
        try:
            async with asyncio.timeout(0.001 * (n % 5)):
                await pool.run(lambda: time.sleep(0.002))
        except TimeoutError:
            pass

    await asyncio.gather(*(one(n) for n in range(200)))
    await asyncio.sleep(0.05)
    barrier = threading.Barrier(4)
    await asyncio.wait_for(asyncio.gather(*(pool.run(lambda: barrier.wait(5)) for _ in range(4))), 5)
    lock, counts = threading.Lock(), [0, 0]

    def work() -> None:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.003)
        with lock:
            counts[0] -= 1

    await asyncio.gather(*(pool.run(work) for _ in range(60)))
    assert counts[1] == 4


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("x"), ValueError),
        (StopIteration(1), RuntimeError),
        (SystemExit(3), ThreadExit),
        (KeyboardInterrupt(), ThreadExit),
        (asyncio.CancelledError(), ThreadExit),
    ],
    ids=lambda e: getattr(e, "__name__", repr(e)),
)
async def test_exceptions_come_out_as_they_were(error: BaseException, raised: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    pool = WorkerPool(max_workers=1)
    with pytest.raises(raised) as caught:
        await pool.run(fail)
    assert not isinstance(caught.value, ThreadExit) or caught.value.original is error
    assert await pool.run(lambda: "alive") == "alive"


def test_one_pool_serves_many_loops() -> None:
    pool = WorkerPool(max_workers=2)
    for n in range(3):
        assert asyncio.run(pool.run(lambda n=n: n)) == n


def test_a_loop_that_has_gone_is_no_trouble_for_the_thread() -> None:
    pool, gate = WorkerPool(max_workers=1), threading.Event()

    async def give_up() -> None:
        try:
            async with asyncio.timeout(0.02):
                await pool.run(lambda: gate.wait(20))
        except TimeoutError:
            pass

    asyncio.run(give_up())
    gate.set()
    assert asyncio.run(pool.run(lambda: "next")) == "next"


async def test_a_hung_tool_times_out_and_the_run_goes_on() -> None:
    gate = threading.Event()

    @tool(timeout=0.05)
    def hang() -> None:
        gate.wait(20)

    text = await answer(hang)
    gate.set()
    assert text == "ERROR hang did not finish within 0.05 s. Its thread cannot be stopped: what it does may still take effect."


async def test_a_tool_may_run_a_loop_of_its_own() -> None:
    def nested(n: int) -> int:
        async def inner() -> int:
            await asyncio.sleep(0)
            return n

        return asyncio.run(inner())

    assert await answer(nested, n=3) == "3"


def test_sys_exit_in_a_tool_ends_the_call_and_not_the_process() -> None:
    done = python("""
        import sys
        from kimi_agent import Agent, ScriptedModel, call
        def leave() -> None:
            sys.exit("bye")
        async def leave_async() -> None:
            sys.exit("bye")
        model = ScriptedModel([[call("leave"), call("leave_async")], "still here"])
        result = Agent(model, tools=[leave, leave_async]).run_sync("go")
        print(result.output, [m.text for m in model.requests[1].messages[-2:]])
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "still here ['SystemExit: bye', 'SystemExit: bye']"


@pytest.mark.parametrize("sync", [True, False], ids=["run_sync", "asyncio.run"])
def test_an_interpreter_with_a_hung_tool_exits(sync: bool) -> None:
    begun = time.monotonic()
    run: Any = 'agent.run_sync("go")' if sync else 'asyncio.run(agent.run("go"))'
    done = python(f"""
        import asyncio, time
        from kimi_agent import Agent, ScriptedModel, call, tool
        @tool(timeout=0.1)
        def hang() -> None:
            time.sleep(1000)
        agent = Agent(ScriptedModel([call("hang"), "over"]), tools=[hang])
        print({run}.output)
    """)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "over", "")
    assert time.monotonic() - begun < 15
