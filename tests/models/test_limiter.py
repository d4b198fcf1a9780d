"""The limiter: its bounds hold, those who wait are served in order, and nothing leaks. Time is made, not waited for."""

import asyncio
import random
import selectors
import threading
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    Model,
    ModelRequest,
    ModelSettings,
    Profile,
    ProviderError,
    ProviderTimeout,
    Reply,
    ScriptedModel,
    Usage,
    UserError,
    UserMessage,
    call,
    tool,
)
from kimi_agent.models.fallback import FallbackModel
from kimi_agent.models.limited import LimitedModel
from kimi_agent.models.limiter import Limiter
from kimi_agent.models.per_minute import PerMinute
from kimi_agent.wire.parts import Finish, TextPart, UsagePart, WirePart


class _NoWaiting(selectors.DefaultSelector):
    """Where the loop would sleep, its time passes at once."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.passed += timeout
        return super().select(0 if timeout is not None else None)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._made = _NoWaiting()
        super().__init__(self._made)

    def time(self) -> float:
        return self._made.passed


def now() -> float:
    return asyncio.get_running_loop().time()


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """In a loop whose time is made."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


class Busy:
    """Answers after some loop time, and counts how many it answers at once."""

    def __init__(self, seconds: float = 0.0, usage: Usage | None = None) -> None:
        self.name, self.profile = "busy", Profile()
        self.seconds, self.usage = seconds, usage or Usage(requests=1, input_tokens=10, output_tokens=5)
        self.running = self.most = 0
        self.begun: list[float] = []
        self._lock = threading.Lock()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.begun.append(now())
        try:
            yield TextPart("ok")
            await asyncio.sleep(self.seconds)
            yield UsagePart(self.usage)
            yield Finish("stop")
        finally:
            with self._lock:
                self.running -= 1


def at_rest(limiter: Limiter) -> bool:
    return limiter.running == 0 and limiter.waiting == 0


async def say(model: Model, **options: Any) -> str:
    return (await Agent(model).run("Hi", **options)).output


async def many(model: Model, number: int) -> list[str]:
    return [r.result() for r in [t async for t in _started(model, number)]]


async def _started(model: Model, number: int) -> AsyncGenerator[asyncio.Task[str]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(say(model)) for _ in range(number)]
    for task in tasks:
        yield task


# Concurrency


def test_hundreds_of_runs_never_exceed_the_bound_and_all_are_served() -> None:
    async def main() -> None:
        limiter, model = Limiter(7), Busy(0.5)
        assert await many(LimitedModel(model, limiter), 300) == ["ok"] * 300
        assert model.most == 7 and at_rest(limiter)
        assert now() == pytest.approx(0.5 * 43)  # 300 / 7, rounded up: no place stands empty

    run(main())


def test_several_models_share_one_limiter() -> None:
    async def main() -> None:
        limiter, one, two = Limiter(3), Busy(1), Busy(1)
        async with asyncio.TaskGroup() as group:
            for model in (one, two) * 10:
                group.create_task(say(LimitedModel(model, limiter)))
            most = 0
            while limiter.waiting or not most:
                await asyncio.sleep(0.1)
                most = max(most, one.running + two.running)
        assert most == 3 and at_rest(limiter)

    run(main())


def test_those_who_wait_are_served_in_order() -> None:
    async def main() -> None:
        limiter, order = Limiter(1), list[int]()

        async def ask(number: int) -> None:
            async with limiter.place():
                order.append(number)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(ask(number))
        assert order == list(range(30)) and at_rest(limiter)

    run(main())


def test_a_large_request_is_not_overtaken_by_small_ones_that_would_fit() -> None:
    async def main() -> None:
        limiter, begun = Limiter(tokens_per_minute=100, now=now), list[tuple[int, int]]()

        async def ask(tokens: int) -> None:
            async with limiter.place(tokens):
                begun.append((round(now()), tokens))

        async with asyncio.TaskGroup() as group:
            for tokens in (60, 90, 5, 5):
                group.create_task(ask(tokens))
                await asyncio.sleep(1)
        assert begun == [(0, 60), (60, 90), (60, 5), (60, 5)]

    run(main())


def test_a_place_is_held_until_the_stream_is_closed() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        model = LimitedModel(Busy(1), limiter)
        request = ModelRequest(messages=(UserMessage("Hi"),))
        first = model.stream(request)
        assert await anext(first) == TextPart("ok") and limiter.running == 1
        second = asyncio.ensure_future(anext(model.stream(request)))
        await asyncio.sleep(5)
        assert not second.done() and limiter.waiting == 1
        await first.aclose()
        assert await second == TextPart("ok")

    run(main())


def test_an_error_gives_the_place_back() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        model = LimitedModel(ScriptedModel([ProviderError("no"), "yes"]), limiter)
        with pytest.raises(ProviderError, match="no"):
            await say(model)
        assert await say(model) == "yes" and at_rest(limiter)

    run(main())


def test_a_tool_that_asks_the_same_limiter_does_not_lock_it() -> None:
    """A run holds no place while its tools run."""

    async def main() -> None:
        limiter = Limiter(1)

        @tool
        async def ask() -> str:
            """Asks another agent."""
            return await say(LimitedModel(ScriptedModel(["inner"]), limiter))

        outer = LimitedModel(ScriptedModel([call("ask"), "outer"]), limiter)
        assert (await Agent(outer, tools=[ask]).run("Hi")).output == "outer"

    run(main())


def test_a_storm_of_cancellations_leaves_the_limiter_at_rest() -> None:
    async def main() -> None:
        chance = random.Random(7)
        limiter, model = Limiter(5, requests_per_minute=200, tokens_per_minute=100_000, now=now), Busy(0.3)
        tasks = [asyncio.create_task(say(LimitedModel(model, limiter))) for _ in range(500)]
        while any(not t.done() for t in tasks):
            await asyncio.sleep(chance.random() * 0.2)
            for task in chance.sample(tasks, 40):
                task.cancel()
        assert at_rest(limiter) and model.running == 0 and model.most <= 5
        assert any(t.cancelled() for t in tasks) and any(not t.cancelled() for t in tasks)
        await asyncio.sleep(60)
        assert await say(LimitedModel(model, limiter)) == "ok"

    run(main())


def test_one_limiter_serves_loops_in_several_threads() -> None:
    limiter, model = Limiter(4), Busy(0.002)

    def work() -> None:
        asyncio.run(many(LimitedModel(model, limiter), 100))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(t.is_alive() for t in threads)
    assert len(model.begun) == 300 and model.most == 4 and at_rest(limiter)


def test_run_sync_and_a_loop_share_it() -> None:
    limiter, model = Limiter(1), Busy(0.01)
    agent = Agent(LimitedModel(model, limiter))

    async def main() -> list[str]:
        async with asyncio.TaskGroup() as group:
            own = [group.create_task(say(agent.model)) for _ in range(5)]  # type: ignore[arg-type]
            other = [group.create_task(asyncio.to_thread(agent.run_sync, "Hi")) for _ in range(5)]
        return [t.result() for t in own] + [t.result().output for t in other]

    assert asyncio.run(main()) == ["ok"] * 10
    assert model.most == 1 and at_rest(limiter)


def test_a_loop_that_closed_with_a_run_in_the_queue_does_not_block_the_others() -> None:
    limiter = Limiter(1)
    place = limiter.place()

    async def take() -> None:
        await place.__aenter__()

    async def wait() -> None:
        async with limiter.place():
            pass

    loop, dead = asyncio.new_event_loop(), asyncio.new_event_loop()
    loop.run_until_complete(take())
    lost = dead.create_task(wait())
    dead.run_until_complete(asyncio.sleep(0))
    waiting = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    dead.close()
    assert limiter.waiting == 2
    loop.run_until_complete(place.__aexit__(None, None, None))
    loop.run_until_complete(asyncio.wait_for(waiting, 5))
    loop.close()
    assert at_rest(limiter)
    lost._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch: it was lost on purpose
    lost.get_coro().close()


def test_who_comes_when_the_loop_of_the_first_has_closed_is_served() -> None:
    seconds = [0.0]
    limiter = Limiter(requests_per_minute=1, now=lambda: seconds[0])

    async def wait() -> None:
        async with limiter.place():
            pass

    dead = asyncio.new_event_loop()
    dead.run_until_complete(wait())
    lost = [dead.create_task(wait()) for _ in range(2)]
    dead.run_until_complete(asyncio.sleep(0))
    dead.close()
    seconds[0] = 1000.0
    asyncio.run(asyncio.wait_for(wait(), 5))
    assert at_rest(limiter)
    for task in lost:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch: it was lost on purpose
        task.get_coro().close()


def test_who_waits_behind_a_closed_loop_goes_on_when_somebody_comes() -> None:
    seconds = [0.0]
    limiter = Limiter(requests_per_minute=3, now=lambda: seconds[0])

    async def wait() -> None:
        async with limiter.place():
            pass

    loop, dead = asyncio.new_event_loop(), asyncio.new_event_loop()
    for _ in range(3):
        loop.run_until_complete(wait())
    lost, waiting = dead.create_task(wait()), loop.create_task(wait())
    dead.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    dead.close()
    seconds[0] = 1000.0
    loop.run_until_complete(asyncio.wait_for(wait(), 5))
    loop.run_until_complete(asyncio.wait_for(waiting, 5))
    loop.close()
    assert at_rest(limiter)
    lost._log_destroy_pending = False  # type: ignore[attr-defined]
    lost.get_coro().close()


# A minute


def test_requests_a_minute() -> None:
    async def main() -> None:
        model = Busy()
        await many(LimitedModel(model, Limiter(requests_per_minute=10, now=now)), 35)
        assert [round(t) for t in model.begun] == [0] * 10 + [60] * 10 + [120] * 10 + [180] * 5

    run(main())


def test_in_no_minute_are_there_more() -> None:
    async def main() -> None:
        chance, model = random.Random(3), Busy()
        limited = LimitedModel(model, Limiter(requests_per_minute=20, now=now))
        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                await asyncio.sleep(chance.expovariate(1))
                group.create_task(say(limited))
        begun = model.begun
        assert len(begun) == 200 and begun == sorted(begun)
        assert all(begun[i + 20] - begun[i] >= 59.999 for i in range(180))

    run(main())


def test_tokens_are_estimated_and_put_right() -> None:
    """The estimate, over 1,024 for the answer alone, lets one begin at a time; what was used lets ten into a minute."""

    async def main() -> None:
        model = Busy(1, Usage(requests=1, input_tokens=90, output_tokens=10))
        await many(LimitedModel(model, Limiter(tokens_per_minute=2000, now=now)), 15)
        assert model.most == 1
        assert [round(t) for t in model.begun] == [*range(10), *range(60, 65)]

    run(main())


def test_an_answer_counts_as_long_as_it_may_be() -> None:
    async def main() -> None:
        model = Busy(1, Usage(requests=1, input_tokens=10, output_tokens=1))
        limited = LimitedModel(model, Limiter(tokens_per_minute=1100, now=now))
        agent = Agent(limited, settings=ModelSettings(max_tokens=500))
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(agent.run("Hi"))
        assert [round(t) for t in model.begun] == [0, 0, 60, 60]

    run(main())


def test_a_request_larger_than_the_limit_goes_alone() -> None:
    async def main() -> None:
        model = Busy(0, Usage(requests=1, input_tokens=5000, output_tokens=1))
        await many(LimitedModel(model, Limiter(tokens_per_minute=100, now=now)), 3)
        assert [round(t) for t in model.begun] == [0, 60, 120]

    run(main())


def test_tokens_that_the_endpoint_counted_are_not_estimated_again() -> None:
    async def main() -> None:
        @tool
        async def step() -> str:
            """A step."""
            return "done"

        steps = [Reply(calls=[call("step")], usage=Usage(requests=1, input_tokens=20, output_tokens=1)), "ok"]
        model = LimitedModel(ScriptedModel(steps), Limiter(tokens_per_minute=2000, now=now))
        await Agent(model, tools=[step]).run("word " * 20_000)  # estimated at ten times the limit
        assert now() < 1

    run(main())


def test_a_settlement_that_comes_late_changes_nothing() -> None:
    window = PerMinute(100)
    early = window.take(80, 0.0)
    window.settle(early, 10, 61.0)
    window.take(100, 61.0)
    assert window.wait(1, 62.0) == pytest.approx(59.0)


# Patience


def test_max_wait_ends_with_an_error_that_says_what_to_do() -> None:
    async def main() -> None:
        limiter = Limiter(1, requests_per_minute=100, max_wait=5, now=now)
        held = asyncio.create_task(say(LimitedModel(Busy(60), limiter)))
        await asyncio.sleep(0)
        with pytest.raises(ProviderTimeout, match=r"time-out \(queue\).*concurrency=1.*within 5 s.*max_wait") as caught:
            await say(LimitedModel(Busy(), limiter))
        assert caught.value.phase == "queue" and now() == pytest.approx(5) and caught.value.messages
        await held
        assert at_rest(limiter)

    run(main())


def test_the_next_model_takes_over_where_the_queue_is_full() -> None:
    async def main() -> None:
        limiter = Limiter(1, max_wait=1, now=now)
        first = LimitedModel(Busy(60), limiter)
        held = asyncio.create_task(say(first))
        await asyncio.sleep(0)
        assert await say(FallbackModel(first, ScriptedModel(["spare"]))) == "spare"
        held.cancel()

    run(main())


def test_names_and_profile_are_the_models() -> None:
    model = LimitedModel(ScriptedModel([], name="kimi", profile=Profile(context_window=7)), Limiter(1))
    assert model.name == "kimi" and model.profile.context_window == 7
    assert repr(model) == "LimitedModel('kimi', Limiter(concurrency=1))"
    assert LimitedModel("kimi-k2.6", Limiter(1)).name == "kimi-k2.6"


@pytest.mark.parametrize(
    "bounds", [{}, {"max_wait": 5}, {"concurrency": 0}, {"requests_per_minute": -1}, {"concurrency": 1, "max_wait": 0}]
)
def test_slips_are_told(bounds: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Limiter(**bounds)
