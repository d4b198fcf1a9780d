"""What `ctx.ask_model` counts: against the limits of the run, and in a run that is taken up."""

import asyncio
from typing import Any

import pytest
from asides import USED, answering, apart, ask, is_aside, results

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Limits,
    MemoryJournal,
    ModelSettings,
    Price,
    Profile,
    ProviderError,
    Reply,
    RunContext,
    SystemMessage,
    UserError,
    call,
    tool,
)
from kimi_agent.history import fold
from kimi_agent.records import AsideEnded

pytestmark = pytest.mark.anyio


async def test_what_it_uses_is_the_runs_and_has_a_price() -> None:
    profile = Profile(price=Price(input=1.0, cached=0.5, output=10.0))
    model = FunctionModel(
        lambda request: Reply(text="Aside.", usage=USED) if is_aside(request) else next(turns), profile=profile
    )  # fmt: skip
    turns = iter([Reply(calls=[call("ask", times=2)], usage=USED), Reply(text="Done.", usage=USED)])
    result = await Agent(model, tools=[ask]).run("go")
    assert (result.usage.requests, result.usage.input_tokens, result.usage.output_tokens) == (4, 400, 80)
    assert result.usage.cost_usd == pytest.approx(4 * (100 * 1.0 + 20 * 10.0) / 1e6)


async def test_a_tool_that_asks_for_ever_is_stopped_by_the_limit_of_turns() -> None:
    refusals: list[UserError] = []

    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        while True:
            try:
                await ctx.ask_model(apart())
            except UserError as e:
                refusals.append(e)
                raise

    model = answering("More.")
    result = await Agent(model, tools=[ask], limits=Limits(turns=4)).run("go")
    assert result.stop_reason == "turns"
    assert len(model.requests) == result.usage.requests == 4
    assert "Limits(turns=4)" in str(refusals[0])
    assert "Limits(turns=4)" in results(result.messages)[0]


async def test_the_turn_that_still_streams_counts_too() -> None:
    """A tool that starts while the model is still talking must not get a request more than one that starts behind it."""

    @tool
    async def early(ctx: RunContext[Any]) -> str:
        return (await ctx.ask_model(apart())).text

    model = answering("Never said.", [Reply(calls=[call("early"), call("early", unknown=1)], delay=0.02)])
    result = await Agent(model, tools=[early], limits=Limits(turns=1)).run("go")
    assert (result.stop_reason, len(model.requests)) == ("turns", 1)


async def test_asides_that_are_under_way_count() -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        said = await asyncio.gather(*[ctx.ask_model(apart(str(n))) for n in range(5)], return_exceptions=True)
        return " ".join(s.text if isinstance(s, AssistantMessage) else type(s).__name__ for s in said)

    model = answering(lambda request: Reply(text=request.messages[-1].text[-1], delay=0.01))  # type: ignore[union-attr]
    result = await Agent(model, tools=[ask], limits=Limits(turns=4)).run("go")
    assert results(result.messages) == ["0 1 2 UserError UserError"]
    assert (result.stop_reason, result.usage.requests) == ("turns", 4)


@pytest.mark.parametrize(
    ("limits", "stop", "knob"),
    [
        (Limits(tokens=240), "tokens", "Limits(tokens=240)"),
        (Limits(cost_usd=0.0006), "cost", "Limits(cost_usd=0.0006)"),
    ],
)
async def test_tokens_and_money_are_looked_at_before_each(limits: Limits, stop: str, knob: str) -> None:
    turns = iter([Reply(calls=[call("ask", times=5)], usage=USED), "Never said."])
    model = FunctionModel(
        lambda request: Reply(text="Aside.", usage=USED) if is_aside(request) else next(turns),
        profile=Profile(price=Price(input=1.0, cached=0.5, output=10.0)),
    )
    result = await Agent(model, tools=[ask], limits=limits).run("go")
    assert (result.stop_reason, len(model.requests)) == (stop, 2)
    assert knob in results(result.messages)[0]


@pytest.mark.parametrize(
    ("limits", "stop", "bounds"),
    [
        (Limits(tokens=360), "tokens", [240, 120]),
        (Limits(cost_usd=0.0009), "cost", [60, 30]),
    ],
)
async def test_asides_that_are_asked_at_once_know_of_each_others_tokens(limits: Limits, stop: str, bounds: list[int]) -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        await asyncio.sleep(0.05)  # the turn's own usage is known at its end
        said = await asyncio.gather(*[ctx.ask_model(apart()) for _ in range(20)], return_exceptions=True)
        return " ".join(s.text if isinstance(s, AssistantMessage) else str(s) for s in said[1:3])

    turns = iter([Reply(calls=[call("ask")], usage=USED), "Never said."])
    model = FunctionModel(
        lambda request: Reply(text="Aside.", usage=USED, delay=0.01) if is_aside(request) else next(turns),
        profile=Profile(price=Price(input=1.0, cached=0.5, output=10.0)),
    )
    result = await Agent(model, tools=[ask], limits=limits).run("go")
    assert (result.stop_reason, result.usage.requests) == (stop, 3)
    assert [r.settings.max_tokens for r in model.requests[1:]] == bounds
    assert "Aside. the model was not asked" in results(result.messages)[0]


@pytest.mark.parametrize(
    ("limits", "asked", "sent"),
    [
        (Limits(tokens=1120), None, 1000),
        (Limits(tokens=1120), 50, 50),
        (Limits(tokens=1120), 5000, 1000),
        (Limits(cost_usd=0.0013), None, 100),
        (Limits(tokens=1120, cost_usd=0.0013), None, 100),
        (Limits(tokens=100_000), None, None),
        (Limits(), None, None),
        (Limits(), 50, 50),
    ],
)
async def test_an_answer_may_have_no_more_tokens_than_the_limits_leave(limits: Limits, asked: int | None, sent: int | None) -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        await asyncio.sleep(0.05)  # the turn's own usage is known at its end
        return (await ctx.ask_model(apart(), settings=ModelSettings(max_tokens=asked))).text

    turns = iter([Reply(calls=[call("ask")], usage=USED), "Done."])
    model = FunctionModel(
        lambda request: "Aside." if is_aside(request) else next(turns),
        profile=Profile(price=Price(input=1.0, cached=0.5, output=10.0)),
    )
    await Agent(model, tools=[ask], limits=limits).run("go")
    assert model.requests[1].settings.max_tokens == sent


async def test_failing_asides_count_as_turns() -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        while True:
            try:
                await ctx.ask_model(apart())
            except ProviderError:
                continue

    model = answering(ProviderError("down"))
    result = await Agent(model, tools=[ask], limits=Limits(turns=5)).run("go")
    assert (result.stop_reason, len(model.requests)) == ("turns", 5)


async def test_a_run_that_is_taken_up_counts_the_asides_before() -> None:
    journal = MemoryJournal()
    agent = Agent(answering("Aside.", [call("ask", times=2), "Done."]), tools=[ask], limits=Limits(turns=4))
    await agent.run("go", journal=journal)
    last = max(i for i, r in enumerate(journal.records) if isinstance(r, AsideEnded))
    left = MemoryJournal(tuple(journal.records[: last + 1]))  # of a process that was killed there
    assert fold(left.records).asides == 2
    later = answering("Aside.", [call("ask", times=9), "Never said."])
    result = await agent.with_(model=later).run(journal=left)
    assert (result.stop_reason, len(later.requests)) == ("turns", 1)
    assert result.usage.requests == 4


async def test_a_new_run_of_the_conversation_counts_from_nothing() -> None:
    journal = MemoryJournal()
    model = answering("Aside.", [call("ask", times=3), "Done.", call("ask", times=3), "Again."])
    agent = Agent(model, tools=[ask], limits=Limits(turns=5))
    assert (await agent.run("go", journal=journal)).usage.requests == 5
    second = await agent.run("and again", journal=journal)
    assert (second.output, second.usage.requests) == ("Again.", 5)


async def test_instructions_may_ask_and_a_limit_there_ends_the_run_in_order() -> None:
    async def instructions(ctx: RunContext[Any]) -> str:
        return (await ctx.ask_model(apart("the date?"))).text

    model = answering("It is Monday.", [call("nothing")] * 9)
    agent = Agent(model, instructions=instructions, limits=Limits(turns=4))
    result = await agent.run("go")
    assert (result.stop_reason, result.usage.requests) == ("turns", 4)
    first = model.requests[1]
    assert first.messages[0] == SystemMessage("It is Monday.")

    async def twice(ctx: RunContext[Any]) -> str:
        await ctx.ask_model(apart())
        return await instructions(ctx)

    model = answering("It is Monday.", ["Never said."])
    result = await Agent(model, instructions=twice, limits=Limits(turns=1)).run("go")
    assert (result.stop_reason, len(model.requests)) == ("turns", 1)
