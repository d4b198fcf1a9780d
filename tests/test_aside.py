"""`ctx.ask_model`: a request beside the turns, what the model and the hooks see of it, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from asides import MARK, USED, Redaction, answering, apart, ask, is_aside, results

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Hooks,
    Limits,
    MemoryJournal,
    ModelRequest,
    ModelSettings,
    ProviderError,
    Reply,
    RunContext,
    ScriptedModel,
    SystemMessage,
    TextDelta,
    TurnBegin,
    UserError,
    UserMessage,
    call,
    tool,
)
from kimi_agent.records import AsideEnded, RunEnded
from kimi_agent.wire.parts import UsagePart, WirePart

pytestmark = pytest.mark.anyio


async def test_the_model_sees_only_what_it_is_given() -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        given = [UserMessage("apart: one"), AssistantMessage("two"), UserMessage("apart: three")]
        said = await ctx.ask_model(given, instructions="Be brief.", settings=ModelSettings(temperature=0.5, max_tokens=7))
        assert said.model == "scripted"
        return said.text

    model = ScriptedModel([call("ask"), "Four.", "It said four."])
    settings = ModelSettings(
        temperature=0.1, seed=3, tool_choice="auto", parallel_tool_calls=False, response_format={"type": "json_object"},
        prefill="So", stop="\n", extra_headers={"x-a": "1"},
    )  # fmt: skip
    stream = Agent(model, instructions="Secret instructions.", tools=[ask], settings=settings).stream("The secret is 4711.")
    events = [e async for e in stream]
    turn, aside, last = model.requests
    assert aside.messages == (
        SystemMessage("Be brief."),
        UserMessage("apart: one"),
        AssistantMessage("two"),
        UserMessage("apart: three"),
    )
    assert aside.tools == ()
    assert aside.settings == ModelSettings(temperature=0.5, max_tokens=7, seed=3, extra_headers={"x-a": "1"})
    assert (aside.known_tokens, aside.known_messages) == (0, 0)
    assert aside.conversation_id not in (None, turn.conversation_id)
    assert results(last.messages) == ["Four."]
    assert last.known_messages == len(turn.messages) + 1  # what the endpoint counted of the run's own conversation still holds
    assert not [m for m in stream.result.messages if "apart" in getattr(m, "text", "")]
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["It sai", "d four."]
    assert len([e for e in events if isinstance(e, TurnBegin)]) == 2


async def test_calls_that_it_makes_all_the_same_are_left_out() -> None:
    ran: list[str] = []

    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        said = await ctx.ask_model(apart())
        return f"{said.text} {said.tool_calls}"

    @tool
    def wipe() -> None:
        ran.append("wipe")

    model = answering(Reply(text="Sure.", calls=[call("wipe")]))
    journal = MemoryJournal()
    result = await Agent(model, tools=[ask, wipe]).run("go", journal=journal)
    assert (results(result.messages), ran) == (["Sure. ()"], [])
    assert result.output == "Done."
    assert "wipe" not in repr(journal.records)


async def test_thoughts_in_the_text_are_taken_out_as_in_a_turn() -> None:
    model = answering("<think>It is a trick.</think>No.")
    result = await Agent(model, tools=[ask]).run("go")
    assert results(result.messages) == ["No."]
    assert result.healed["thought_in_text"] == 1


async def test_an_aside_that_breaks_is_the_tools_affair_and_counts() -> None:
    caught: list[ProviderError] = []

    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        try:
            await ctx.ask_model(apart())
        except ProviderError as e:
            caught.append(e)
        return (await ctx.ask_model(apart("again"))).text

    asides = iter([Reply(text="Half an ans", usage=USED, breaks=True), Reply(text="Whole.", usage=USED)])
    model = answering(lambda request: next(asides))
    result = await Agent(model, tools=[ask]).run("go")
    assert "broke off" in str(caught[0])
    assert results(result.messages) == ["Whole."]
    assert result.usage.requests == 4
    assert result.usage.input_tokens == 2 * 10 + 2 * 100


async def test_an_error_that_a_tool_lets_pass_is_its_result() -> None:
    from kimi_agent import RateLimited

    model = answering(RateLimited("too many requests", status=429))
    result = await Agent(model, tools=[ask]).run("go")
    assert results(result.messages) == ["RateLimited: too many requests"]
    assert (result.output, result.usage.requests) == ("Done.", 2)  # what was never answered used nothing


async def test_hooks_see_an_aside_and_its_answer() -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        return (await ctx.ask_model(apart("4711"))).text

    hook, model = Redaction(), answering("It is 0815.")
    result = await Agent(model, tools=[ask], hooks=[hook]).run("go")
    assert model.requests[1].messages == (UserMessage("apart: ####"),)
    assert results(result.messages) == ["It is ####."]
    assert sorted(hook.seen) == sorted(["asked ", "answered ", "asked call", "answered call", "asked ", "answered "])


async def test_an_answer_of_a_hook_counts_nothing() -> None:
    class Cache(Hooks):
        async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
            return AssistantMessage("From the cache.") if is_aside(request) else request

    outer = Redaction()
    journal = MemoryJournal()
    model = answering(ProviderError("never asked"), [call("ask", times=5), "Done."])
    result = await Agent(model, tools=[ask], hooks=[outer, Cache()], limits=Limits(turns=2)).run("go", journal=journal)
    assert results(result.messages) == [" ".join(["From the cache."] * 5)]
    assert (result.output, result.usage.requests) == ("Done.", 2)
    assert outer.seen.count("answered call") == 5
    assert not [r for r in journal.records if isinstance(r, AsideEnded)]


async def test_a_hook_that_asks_is_left_out_of_what_it_asks() -> None:
    class Judge(Hooks):
        async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
            verdict = await context.ask_model([UserMessage(MARK + "is 4711 safe?")])
            return replace(message, text=f"{message.text} ({verdict.text})")

    redaction = Redaction()
    model = answering("Safe.")
    result = await Agent(model, tools=[ask], hooks=[redaction, Judge()], limits=Limits(turns=20)).run("go")
    assert results(result.messages) == ["Safe. (Safe.)"]
    assert UserMessage("apart: is #### safe?") in [r.messages[-1] for r in model.requests]
    assert not [r for r in model.requests if "4711" in repr(r.messages)]


async def test_a_hook_that_asks_about_a_turn_is_asked_once_in_it() -> None:
    class Judge(Hooks):
        times = 0

        async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
            self.times += 1
            await context.ask_model(apart())
            return request

    judge, redaction = Judge(), Redaction()
    model = answering("Safe.", ["Done."])
    result = await Agent(model, hooks=[judge, redaction]).run("go")
    assert (result.output, judge.times, len(model.requests)) == ("Done.", 1, 2)
    assert redaction.seen == ["asked ", "answered "] * 2


class Stops(Hooks):
    """Ends the run in one of the hooks around an aside."""

    def __init__(self, where: str) -> None:
        self.where = where

    async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
        if self.where == "before" and is_aside(request):
            context.cancel("guardrail")
        return request

    async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
        if self.where == "after" and message.text == "Aside.":
            context.cancel("guardrail")
        return None


@pytest.mark.parametrize(("where", "asked"), [("before", 1), ("after", 2)])
async def test_a_guardrail_may_end_the_run_at_an_aside(where: str, asked: int) -> None:
    went_on: list[str] = []

    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        went_on.append((await ctx.ask_model(apart())).text)
        return "never"

    model = answering("Aside.")
    result = await Agent(model, tools=[ask], hooks=[Stops(where)]).run("go")
    assert (result.stop_reason, len(model.requests), went_on) == ("guardrail", asked, [])


async def test_several_at_once_have_each_their_own_answer() -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        said = await asyncio.gather(*[ctx.ask_model(apart(str(n))) for n in range(8)])
        return " ".join(s.text for s in said)

    model = answering(lambda request: Reply(text=request.messages[-1].text.upper(), delay=0.001))  # type: ignore[union-attr]
    result = await Agent(model, tools=[ask]).run("go")
    assert results(result.messages) == [" ".join(f"APART: {n}" for n in range(8))]
    assert result.usage.requests == 10


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_run_that_is_cancelled_and_a_call_out_of_time_end_the_request(how: str) -> None:
    ended: list[str] = []
    asked = asyncio.Event()

    async def hang(request: ModelRequest) -> Any:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the model")

    journal = MemoryJournal()
    agent = Agent(answering(hang), tools=[ask], tool_timeout=0.2 if how == "timeout" else 30)
    stream = agent.stream("go", journal=journal)
    async with asyncio.timeout(10), stream:
        if how == "cancel":
            await asked.wait()
            assert (await stream.cancel()).stop_reason == "cancelled"
        else:
            async for _ in stream:
                pass
    assert ended == ["the model"]
    assert [type(r) for r in journal.records][-1] is RunEnded
    assert len([r for r in journal.records if isinstance(r, AsideEnded)]) == 1
    assert stream.result.usage.requests == (2 if how == "timeout" else 1)  # an aside that never answered used nothing


@pytest.mark.parametrize("messages", [[], "What is this?", [{"role": "user", "content": "x"}]])
async def test_what_is_no_list_of_messages_is_refused(messages: Any) -> None:
    @tool
    async def ask(ctx: RunContext[Any]) -> str:
        return (await ctx.ask_model(messages)).text

    model = answering("Never said.")
    result = await Agent(model, tools=[ask]).run("go")
    assert "ask_model takes a list of messages" in results(result.messages)[0]
    assert len(model.requests) == 2


async def test_a_run_that_is_over_asks_nothing_any_more() -> None:
    kept: list[RunContext[Any]] = []

    @tool
    def keep(ctx: RunContext[Any]) -> str:
        kept.append(ctx)
        return "kept"

    model, journal, hook = answering("Never said.", [call("keep"), "Done."]), MemoryJournal(), Redaction()
    await Agent(model, tools=[keep], hooks=[hook]).run("go", journal=journal)
    before, seen = list(journal.records), list(hook.seen)
    with pytest.raises(UserError, match="the run is over"):
        await kept[0].ask_model(apart())
    assert (journal.records, len(model.requests), hook.seen) == (before, 2, seen)


async def test_an_aside_that_a_task_left_behind_ends_with_the_run_and_is_counted() -> None:
    begun, ended, tasks = asyncio.Event(), list[str](), list[asyncio.Task[AssistantMessage]]()

    @tool
    async def leave_behind(ctx: RunContext[Any]) -> str:
        tasks.append(asyncio.create_task(ctx.ask_model(apart())))
        await begun.wait()
        return "started"

    class Slow(FunctionModel):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
            if is_aside(request):
                try:
                    yield UsagePart(USED)
                    begun.set()
                    await asyncio.Event().wait()
                finally:
                    ended.append("the model")
            async for part in super().stream(request):
                yield part

    turns, journal = iter([call("leave_behind"), "Done."]), MemoryJournal()
    result = await Agent(Slow(lambda request: next(turns)), tools=[leave_behind]).run("go", journal=journal)
    assert ended == ["the model"]  # before the run was over
    with pytest.raises(UserError, match="the run is over"):
        await tasks[0]
    assert (result.output, [type(r) for r in journal.records][-2:]) == ("Done.", [AsideEnded, RunEnded])
    assert (result.usage.requests, result.usage.input_tokens) == (3, 10 + 10 + USED.input_tokens)
