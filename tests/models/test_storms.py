"""Storms: hundreds of seeded runs under faults. Each ends in order, nothing is started twice, nothing that was said is lost."""

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Limits,
    MemoryJournal,
    Message,
    ModelRequest,
    ProviderError,
    Reply,
    RunContext,
    RunResult,
    ToolMessage,
    UserMessage,
    call,
    tool,
)
from kimi_agent.history import fold
from kimi_agent.models.chaos import ChaosModel
from kimi_agent.models.faults import FAULTS
from kimi_agent.records import CallFinished, CallMade, CallStarted, Record

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kimi_agent.again._FIRST_WAIT", 0)


def assert_legal(messages: tuple[Message, ...]) -> None:
    """Each call is answered right behind its turn, once, in order; nothing else is; indices rise."""
    index, i = -1, 0
    while i < len(messages):
        message = messages[i]
        i += 1
        assert not isinstance(message, ToolMessage), "a result without a call"
        for expected in message.tool_calls if isinstance(message, AssistantMessage) else ():
            assert expected.index > index, "indices rise"
            index = expected.index
            answer = messages[i]
            assert isinstance(answer, ToolMessage) and answer.call_id == expected.id, "an unanswered call"
            i += 1


def counted(journal: MemoryJournal) -> tuple[Counter[str], Counter[str]]:
    """Calls that were made and that have a result; nothing of a call happens twice."""
    started = Counter(r.call_id for r in journal.records if isinstance(r, CallStarted))
    finished = Counter(r.result.call_id for r in journal.records if isinstance(r, CallFinished))
    made = Counter(r.call.id for r in journal.records if isinstance(r, CallMade))
    for what in (made, started, finished):
        assert set(what.values()) <= {1}
    assert started.keys() <= made.keys() and finished.keys() <= made.keys()
    return made, finished


def decide(request: ModelRequest) -> Any:
    """Three rounds of calls, then an answer; what a model does must not depend on anything else."""
    done = sum(isinstance(m, AssistantMessage) for m in request.messages)
    if done >= 3:
        return "All done."
    return Reply(
        text="Let me see.", calls=[call("add", a=done, b=1), call("look", at=f"the sky, {done}"), call("write", text="ünï")]
    )


class Storm:
    """One conversation under faults, taken up again and again where it fails. `ended` says how each run did."""

    def __init__(self, seed: int, rate: float = 0.6) -> None:
        self.ran: list[str] = []
        self.ended: list[str] = []
        self.journals: list[MemoryJournal] = []
        self.model = ChaosModel(FunctionModel(decide), seed=seed, rate=rate, pause=0)
        self.agent = Agent(self.model, tools=[self.add, self.look, self.write], limits=Limits(turns=8))

    async def add(self, ctx: RunContext, a: int, b: int) -> int:
        self.ran.append(ctx.call_id)
        await asyncio.sleep(0)
        return a + b

    async def look(self, ctx: RunContext, at: str) -> str:
        self.ran.append(ctx.call_id)
        if len(at) % 2:
            raise ValueError("clouds")
        return at

    async def write(self, ctx: RunContext, text: str) -> str:
        self.ran.append(ctx.call_id)
        return text * 3

    async def rage(self, prompt: str = "go") -> "Storm":
        messages: tuple[Message, ...] = (UserMessage(prompt),)
        for _ in range(6):
            self.journals.append(journal := MemoryJournal())
            try:
                result = await self.agent.run(messages=messages, journal=journal)
            except ProviderError as error:
                messages = error.messages
                self.ended.append(type(error).__name__)
            else:
                messages = result.messages
                self.ended.append(result.stop_reason)
                assert result.stop_reason in ("completed", "length", "turns")
                if result.stop_reason == "completed":
                    break
                messages = (*messages, UserMessage("Go on."))
            assert_legal(messages)
            assert messages[0] == UserMessage(prompt), "nothing that was said is lost"
        self.check()
        return self

    def check(self) -> None:
        assert not [i for i, n in Counter(self.ran).items() if n > 1], "a call was started twice"
        for journal in self.journals:
            made, finished = counted(journal)
            assert finished.keys() == made.keys(), "each call has a result"

    def told(self) -> Any:
        return self.ended, len(self.ran), self.model.injected


@pytest.mark.parametrize("first", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (100, 200, 300))])
async def test_a_storm_ends_in_order_and_is_the_same_for_its_seed(first: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(first, first + 100):
        storm = await Storm(seed).rage()
        assert (await Storm(seed).rage()).told() == storm.told(), f"seed {seed}"
        seen.update(i.fault for i in storm.model.injected)
    assert seen.keys() == set(FAULTS), "every fault was met"


async def test_concurrent_runs_meet_the_same_faults_however_they_take_turns() -> None:
    async def together(random: Random | None) -> list[Any]:
        async def add(a: int, b: int) -> int:
            for _ in range(random.randrange(5) if random else 0):
                await asyncio.sleep(0)
            return a + b

        model = ChaosModel(FunctionModel(decide), seed=5, rate=0.5, pause=0)
        agent = Agent(model, tools=[add])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(quietly(agent, f"{i}")) for i in range(30)]
        return [[t.result() for t in tasks], sorted(model.injected)]

    async def quietly(agent: Agent, prompt: str) -> str:
        try:
            return (await agent.run(prompt)).stop_reason
        except ProviderError as error:
            assert_legal(error.messages)
            return type(error).__name__

    calm = await together(None)
    assert [await together(Random(n)) for n in range(3)] == [calm] * 3


async def test_a_storm_with_limits_and_cancels() -> None:
    for seed in range(100):
        storm = Storm(seed)
        journal = MemoryJournal()
        try:
            async with storm.agent.stream("go", journal=journal) as stream:
                steps = Random(seed).randrange(40)
                async for _ in stream:
                    steps -= 1
                    if steps == 0:
                        await stream.cancel("enough")
            messages = stream.result.messages
        except ProviderError as error:
            messages = error.messages
        assert_legal(messages)
        assert not [i for i, n in Counter(storm.ran).items() if n > 1]


class SlowJournal(MemoryJournal):
    """Lets others in while it writes, as a database does."""

    async def append(self, record: Record) -> None:
        await asyncio.sleep(0)
        await super().append(record)


class Office:
    """One journal under faults: tools that wait for approval, that run alone, in threads, too long."""

    def __init__(self, seed: int, **options: Any) -> None:
        self.random = Random(seed)
        self.ran: list[str] = []
        self.journal = SlowJournal() if seed % 2 else MemoryJournal()

        @tool(needs_approval=True)
        async def pay(ctx: RunContext, n: int) -> str:
            self.ran.append(ctx.call_id)
            return f"paid {n}"

        @tool(sequential=True)
        async def count(ctx: RunContext, n: int) -> str:
            self.ran.append(ctx.call_id)
            await asyncio.sleep(0)
            return f"{n} counted"

        @tool
        def look(ctx: RunContext, n: int) -> str:
            self.ran.append(ctx.call_id)
            return f"{n} seen"

        @tool(timeout=0.01)
        async def hang(ctx: RunContext, n: int) -> str:
            self.ran.append(ctx.call_id)
            await asyncio.sleep(30)
            return "never"

        def decide(request: ModelRequest) -> Any:
            n = sum(isinstance(m, AssistantMessage) for m in request.messages)
            return (
                "Done." if n >= 4 else Reply(reasoning="hm", calls=[call(name, n=n) for name in ("pay", "look", "count", "hang")])
            )

        model = ChaosModel(FunctionModel(decide), seed=seed, rate=0.4, pause=0)
        self.agent = Agent(model, tools=[pay, count, look, hang], limits=Limits(turns=10), **options)

    async def next(self, before: RunResult | None) -> RunResult:
        """Goes on from what is there: with decisions, with a new message, or by taking the journal up."""
        if before is not None and before.stop_reason == "pending" and self.random.random() < 0.8:
            decisions = {c.id: self.random.choice([True, False, "no"]) for c in before.pending}
            return await self.agent.resume(before, decisions=decisions)
        if self.journal.records and self.random.random() < 0.5:
            return await self.agent.resume(self.journal)
        return await self.agent.run("go", journal=self.journal)

    def check(self) -> None:
        counted(self.journal)
        assert set(Counter(self.ran).values()) <= {1}
        assert_legal(tuple(fold(self.journal.records).history))


@pytest.mark.parametrize("first", [0, pytest.param(50, marks=pytest.mark.slow)])
async def test_a_storm_over_approvals_and_resumes(first: int) -> None:
    ended: Counter[str] = Counter()
    for seed in range(first, first + 50):
        office, result = Office(seed), None
        for _ in range(12):
            try:
                result = await office.next(result)
            except ProviderError as error:
                result = None
                ended["error"] += 1
                assert error.messages == tuple(fold(office.journal.records).history)
            else:
                ended[result.stop_reason] += 1
                if result.stop_reason == "completed":
                    break
            office.check()
    assert ended["completed"] > 25 and ended["pending"] > 50 and ended["error"] > 25, ended


async def test_a_storm_of_cancels_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    ended: Counter[str] = Counter()
    for seed in range(60):
        office = Office(seed, approver=lambda context, made, arguments: True)
        for _ in range(6):
            task = asyncio.create_task(office.next(None))
            for _ in range(office.random.randrange(150)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                ended[(await task).stop_reason] += 1
            except (ProviderError, asyncio.CancelledError) as error:
                ended["cancelled" if isinstance(error, asyncio.CancelledError) else "error"] += 1
            office.check()
        assert asyncio.all_tasks() == before
    assert ended["cancelled"] > 50 and ended["completed"] > 20, ended
