"""Agents as a user meets them: run, run_sync, stream, conversations, instructions, filters, images."""

import asyncio
import contextvars
import gc
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    AssistantMessage,
    Image,
    Reply,
    RunContext,
    ScriptedModel,
    Text,
    TextDelta,
    Tool,
    ToolBegin,
    ToolDefinitionError,
    ToolMessage,
    UserError,
    UserMessage,
    call,
    tool,
)

pytestmark = pytest.mark.anyio
PNG = Image(b"\x89PNG...", "image/png")


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


async def test_a_conversation_is_carried_by_messages() -> None:
    model = ScriptedModel(["I am Kimi.", "You asked who I am."])
    agent = Agent(model, instructions="Be brief.")
    first = await agent.run("Who are you?")
    second = await agent.run("What did I ask?", messages=first.messages)
    assert [m.text for m in second.messages] == ["Who are you?", "I am Kimi.", "What did I ask?", "You asked who I am."]  # type: ignore[union-attr]
    assert second.new_messages == second.messages[2:]
    assert model.requests[1].messages[0].content == "Be brief."  # type: ignore[union-attr]


async def test_openai_dicts_are_taken_as_a_conversation() -> None:
    model = ScriptedModel(["4"])
    before = [
        {"role": "user", "content": "1+2?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}]},
        {"role": "tool", "tool_call_id": "x", "content": "3"},
        {"role": "assistant", "content": "3"},
    ]  # fmt: skip
    result = await Agent(model).run("And one more?", messages=before)
    assert [type(m).__name__ for m in result.messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "AssistantMessage",
        "UserMessage",
        "AssistantMessage",
    ]


async def test_messages_and_dicts_are_not_mixed() -> None:
    with pytest.raises(UserError, match="from_openai"):
        await Agent(ScriptedModel([])).run("x", messages=[UserMessage("a"), {"role": "user", "content": "b"}])


async def test_nothing_to_answer_is_said() -> None:
    with pytest.raises(UserError, match="pass a prompt"):
        await Agent(ScriptedModel([])).run()


async def test_a_prompt_may_hold_images_or_be_messages() -> None:
    model = ScriptedModel(["A cat.", "Two."])
    await Agent(model).run(["What is this?", PNG])
    assert model.requests[0].messages[0] == UserMessage(["What is this?", PNG])
    await Agent(model).run([UserMessage("One?"), AssistantMessage("One."), UserMessage("Two?")])
    assert len(model.requests[1].messages) == 3


async def test_tools_give_images_and_models_do_too() -> None:
    def draw() -> list[Any]:
        return ["a drawing", PNG]

    result = await Agent(ScriptedModel([call("draw"), Reply(text="Here", images=[PNG])]), tools=[draw]).run("draw")
    drawn, said = result.messages[2], result.messages[3]
    assert isinstance(drawn, ToolMessage) and drawn.content == (Text("a drawing"), PNG)
    assert isinstance(said, AssistantMessage) and said.images == (PNG,)


async def test_instructions_may_be_functions_asked_before_each_request() -> None:
    async def about_user(ctx: RunContext[str]) -> str:
        return f"The user is {ctx.deps}. Turn {ctx.turn}."

    model = ScriptedModel([call("add", a=1, b=1), "2"])
    await Agent(model, tools=[add], instructions=["Be brief.", about_user, lambda: ""]).run("x", deps="Ann")
    assert [r.messages[0].content for r in model.requests] == [  # type: ignore[union-attr]
        "Be brief.\n\nThe user is Ann. Turn 0.",
        "Be brief.\n\nThe user is Ann. Turn 1.",
    ]


async def test_tools_can_be_chosen_for_each_turn() -> None:
    def first_turn_only(ctx: RunContext, tools: list[Tool[..., Any]]) -> list[Tool[..., Any]]:
        return tools if ctx.turn == 0 else []

    model = ScriptedModel([call("add", a=1, b=1), call("add", a=2, b=2), "2"])
    result = await Agent(model, tools=[add], prepare_tools=first_turn_only).run("x")
    assert [len(r.tools) for r in model.requests] == [1, 0, 0]
    assert "no tool named" in result.messages[4].text  # type: ignore[union-attr]

    async def none(ctx: RunContext, tools: list[Tool[..., Any]]) -> list[Tool[..., Any]]:
        return []

    model = ScriptedModel(["ok"])
    await Agent(model, tools=[add], prepare_tools=none).run("x")
    assert model.requests[0].tools == ()


async def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="two tools are named 'add'"):
        await Agent(ScriptedModel([""]), tools=[add, tool(lambda: 1, name="add")]).run("x")


async def test_a_bare_function_as_tools_is_explained() -> None:
    with pytest.raises(UserError, match=r"tools=\[…\]"):
        Agent(ScriptedModel([]), tools=add)  # type: ignore[arg-type]


async def test_an_agent_is_shared_by_runs_at_once() -> None:
    def who(ctx: RunContext[str]) -> str:
        return ctx.deps

    from kimi_agent import FunctionModel

    agent = Agent(FunctionModel(lambda r: r.messages[-1].text if len(r.messages) > 1 else call("who")), tools=[who])  # type: ignore[union-attr]
    outputs = await asyncio.gather(*(agent.run("?", deps=f"user {i}") for i in range(50)))
    assert [r.output for r in outputs] == [f"user {i}" for i in range(50)]


async def test_deps_ids_and_the_conversation_are_in_the_context() -> None:
    seen: list[RunContext[Any]] = []

    @tool
    def look(ctx: RunContext[dict[str, int]]) -> str:
        seen.append(ctx)
        assert [type(m).__name__ for m in ctx.messages] == ["UserMessage", "AssistantMessage"]
        assert ctx.usage.requests in (0, 1)
        return "ok"

    result = await Agent(ScriptedModel([call("look"), "ok"]), tools=[look]).run("x", deps={"a": 1})
    assert (seen[0].deps, seen[0].run_id, seen[0].tool_name) == ({"a": 1}, result.run_id, "look")
    assert seen[0].call_id == result.messages[2].call_id  # type: ignore[union-attr]


async def test_events_come_in_pairs() -> None:
    turn = Reply(reasoning="Hm, hm", text="Let me add", calls=[call("add", a=1, b=2)])
    events = [e async for e in Agent(ScriptedModel([turn, "3"]), tools=[add]).stream("go")]
    names = [type(e).__name__ for e in events]
    assert names == [
        "RunBegin", "TurnBegin", "ReasoningBegin", "ReasoningDelta", "ReasoningDelta", "ReasoningEnd", "TextBegin", "TextDelta",
        "TextDelta", "TextEnd", "ToolCallBegin", "ToolCallDelta", "ToolCallDelta", "ToolCallEnd", "ToolBegin", "TurnEnd", "ToolEnd",
        "TurnBegin", "TextBegin", "TextDelta", "TextEnd", "TurnEnd", "RunEnd",
    ]  # fmt: skip
    assert len({e.run_id for e in events}) == 1
    assert all(isinstance(e.to_dict()["event"], str) for e in events)


async def test_leaving_the_block_cancels_model_and_tools() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    before = asyncio.all_tasks()
    async with Agent(ScriptedModel([call("wait")]), tools=[wait]).stream("go") as stream:
        async for event in stream:
            if isinstance(event, ToolBegin):
                await asyncio.sleep(0.01)
                break
    assert cancelled.is_set() and asyncio.all_tasks() == before
    assert stream.result.stop_reason == "cancelled"


async def test_dropping_the_stream_cancels_too() -> None:
    before = asyncio.all_tasks()
    async for event in Agent(ScriptedModel([Reply(text="long text", delay=10)])).stream("go"):
        if type(event).__name__ == "TurnBegin":
            break
    del event
    gc.collect()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


async def test_an_error_comes_out_of_the_stream() -> None:
    stream = Agent(ScriptedModel([RuntimeError("boom")])).stream("go")
    with pytest.raises(RuntimeError, match="boom"):
        async for _ in stream:
            pass
    with pytest.raises(UserError, match="has not ended"):
        _ = stream.result


async def test_the_result_of_an_unread_stream_is_explained() -> None:
    stream = Agent(ScriptedModel(["x"])).stream("go")
    with pytest.raises(UserError, match="read the stream to its end"):
        _ = stream.result
    with pytest.raises(UserError, match="has not begun"):
        stream.inject("x")
    with pytest.raises(UserError, match="has not begun"):
        await stream.cancel()
    assert stream.messages == ()


def test_run_sync_needs_no_loop() -> None:
    result = Agent(ScriptedModel([call("add", a=1, b=2), "3"]), tools=[add]).run_sync("x")
    assert result.output == "3"


async def test_run_sync_inside_a_running_loop() -> None:
    assert Agent(ScriptedModel(["fine"])).run_sync("x").output == "fine"


def test_run_sync_inside_a_tool_thread_and_on_the_loop_itself() -> None:
    inner = Agent(ScriptedModel(["inner"] * 2))

    def delegate() -> str:
        return inner.run_sync("x").output

    async def wrong() -> str:
        return inner.run_sync("x").output

    result = Agent(ScriptedModel([[call("delegate"), call("wrong")], "ok"]), tools=[delegate, wrong]).run_sync("go")
    texts = [m.text for m in result.messages if isinstance(m, ToolMessage)]
    assert texts[0] == "inner"
    assert "await agent.run" in texts[1]


def test_run_sync_carries_context_variables() -> None:
    tenant = contextvars.ContextVar("tenant", default="none")

    def who() -> str:
        return tenant.get()

    tenant.set("acme")
    result = Agent(ScriptedModel([call("who"), "ok"]), tools=[who]).run_sync("x")
    assert result.messages[2].text == "acme"  # type: ignore[union-attr]


INTERRUPT = """
import asyncio, os, signal, sys, threading
from kimi_agent import Agent, ScriptedModel, call

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

async def wait() -> None:
    print("waiting", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)

try:
    Agent(ScriptedModel([call("wait")]), tools=[wait]).run_sync("go")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("kind", [signal.SIGINT])
def test_ctrl_c_cancels_model_call_and_tools(kind: int) -> None:
    with subprocess.Popen([sys.executable, "-c", INTERRUPT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(kind)
        assert process.stdout.read() == "cleaned up\ninterrupted\n"
    assert process.returncode == 0


def test_many_threads_may_run_sync_at_once() -> None:
    outputs: list[str] = []
    agent = Agent(ScriptedModel(["x"] * 20))
    threads = [threading.Thread(target=lambda: outputs.append(agent.run_sync("go").output)) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
    assert outputs == ["x"] * 20


async def test_streamed_text_is_what_run_returns() -> None:
    text = "".join([e.text async for e in Agent(ScriptedModel(["  Hello there"])).stream("x") if isinstance(e, TextDelta)])
    assert text == "Hello there"
