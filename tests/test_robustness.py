"""What must hold when things go wrong in between: cancels while a record is written, forks, two runs of one journal, slips."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Hooks,
    Limits,
    MemoryJournal,
    ModelRequest,
    ProviderError,
    Reply,
    RunContext,
    ScriptedModel,
    ToolCall,
    ToolMessage,
    UserError,
    UserMessage,
    call,
    tool,
)
from kimi_agent.history import NOT_KNOWN, UNKNOWN_OUTCOME, fold
from kimi_agent.records import Record, RunEnded

pytestmark = pytest.mark.anyio


def results(messages: tuple[Any, ...]) -> list[str]:
    return [m.text for m in messages if isinstance(m, ToolMessage)]


class SlowJournal(MemoryJournal):
    """As a database: writing takes a moment."""

    async def append(self, record: Record) -> None:
        await asyncio.sleep(0.002)
        await super().append(record)


# A result that is there is never lost


@pytest.mark.parametrize("journal", [MemoryJournal, SlowJournal])
async def test_a_tool_that_cancels_its_run_keeps_its_result(journal: type[MemoryJournal]) -> None:
    async def book(ctx: RunContext) -> str:
        ctx.cancel("enough")
        return "booked #42"

    result = await Agent(ScriptedModel([call("book")]), tools=[book]).run("go", journal=journal())
    assert (result.stop_reason, results(result.messages)) == ("enough", ["booked #42"])


@pytest.mark.parametrize("after", range(1, 9))
async def test_cancelled_while_a_record_is_written_memory_and_journal_agree(after: int) -> None:
    class CancelAt(SlowJournal):
        async def append(self, record: Record) -> None:
            if len(self.records) == after:
                asyncio.get_running_loop().call_soon(stream.request_cancel)
            await super().append(record)

    def echo(n: int) -> int:
        return n

    journal = CancelAt()
    model = ScriptedModel([[call("echo", n=1), call("echo", n=2)], "done"])
    stream = Agent(model, tools=[echo]).stream("go", journal=journal)
    async with stream:
        async for _ in stream:
            pass
    assert stream.result.messages == fold(journal.records).transcript
    indices = [c.index for m in stream.result.messages if isinstance(m, AssistantMessage) for c in m.tool_calls]
    again = await Agent(ScriptedModel([call("echo", n=3), "ok"]), tools=[echo]).run("on", journal=journal)
    later = [c.index for m in again.new_messages if isinstance(m, AssistantMessage) for c in m.tool_calls]
    assert not set(indices) & set(later), "two calls with one index are one call to Kimi"


async def test_a_started_call_that_was_cut_is_told_to_the_next_run_as_unknown() -> None:
    def pay() -> str:
        time.sleep(0.2)
        return "paid"

    cut = await Agent(ScriptedModel([call("pay")]), tools=[pay]).run("go", limits=Limits(wall_clock=0.05))
    assert cut.stop_reason == "wall_clock"
    model = ScriptedModel(["I shall look."])
    await Agent(model, tools=[pay]).run("and?", messages=cut.messages)
    assert results(model.requests[0].messages) == [UNKNOWN_OUTCOME]


async def test_an_open_call_of_a_foreign_history_is_not_said_to_have_been_interrupted_before_it_ran() -> None:
    model = ScriptedModel(["ok"])
    await Agent(model).run("on", messages=[UserMessage("go"), AssistantMessage("", (ToolCall("a", "pay", "{}"),))])
    assert results(model.requests[0].messages) == [NOT_KNOWN]


async def test_results_may_come_as_messages() -> None:
    @tool(needs_approval=True)
    def ask(question: str) -> str:
        raise AssertionError("must not run")

    waiting = await Agent(ScriptedModel([call("ask", question="?")]), tools=[ask]).run("go")
    model = ScriptedModel(["Blue it is.", "Blue again."])
    answer = ToolMessage(waiting.pending[0].id, "ask", "blue")
    await Agent(model, tools=[ask]).run([answer], messages=waiting.messages)
    assert results(model.requests[0].messages) == ["blue"]
    await Agent(model, tools=[ask]).run([answer], journal=waiting.journal)
    assert results(model.requests[1].messages) == ["blue"]
    with pytest.raises(UserError, match="not in the conversation"):
        await Agent(model).run([ToolMessage("zzz", "ask", "blue")], messages=[UserMessage("x")])


# One run per journal


async def test_a_journal_has_one_run_at_a_time() -> None:
    ran: list[str] = []

    @tool(needs_approval=True)
    async def pay() -> str:
        ran.append("paid")
        await asyncio.sleep(0.01)
        return "paid"

    agent = Agent(FunctionModel(lambda r: "Done." if len(r.messages) > 1 else call("pay")), tools=[pay])
    waiting = await agent.run("go")
    decisions = {waiting.pending[0].id: True}
    twice = await asyncio.gather(*(agent.resume(waiting, decisions=decisions) for _ in range(2)), return_exceptions=True)
    assert sorted(type(t).__name__ for t in twice) == ["RunResult", "UserError"]
    assert ran == ["paid"]
    assert (await agent.run("again", journal=waiting.journal)).output == "Done.", "and is free afterwards"


async def test_a_run_without_a_prompt_takes_the_journal_up_as_it_stands() -> None:
    ran: list[str] = []

    @tool(needs_approval=True)
    def pay() -> str:
        ran.append("paid")
        return "paid"

    async def yes(context: Any, made: Any, arguments: Any) -> bool:
        return True

    journal = MemoryJournal()
    agent = Agent(FunctionModel(lambda r: "Done." if len(r.messages) > 1 else call("pay")), tools=[pay])
    await agent.run("go", journal=journal)
    result = await agent.with_(approver=yes).run(journal=journal)
    assert (result.output, ran, results(result.messages)) == ("Done.", ["paid"], ["paid"])


# What was injected is heard


async def test_a_message_injected_while_a_call_waits_is_kept_for_after_it() -> None:
    @tool(needs_approval=True)
    def pay(ctx: RunContext) -> str:
        return "paid"

    @tool
    def note(ctx: RunContext) -> str:
        ctx.inject("Be quick.")
        return "noted"

    model = ScriptedModel([[call("note"), call("pay")], "Quick."])
    agent = Agent(model, tools=[pay, note])
    waiting = await agent.run("go")
    assert waiting.stop_reason == "pending"
    done = await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert [type(m).__name__ for m in done.messages] == [
        "UserMessage", "AssistantMessage", "ToolMessage", "ToolMessage", "UserMessage", "AssistantMessage"]  # fmt: skip
    assert model.requests[1].messages[-1] == UserMessage("Be quick.")


async def test_a_message_injected_into_a_run_that_fails_is_in_the_history() -> None:
    def note(ctx: RunContext) -> str:
        ctx.inject("Hurry.")
        raise KeyError("x")

    class Fails(Hooks):
        async def after_tool(self, context: RunContext, made: ToolCall, result: ToolMessage, /) -> ToolMessage:
            raise UserError("hook")

    with pytest.raises(UserError, match="hook") as caught:
        await Agent(ScriptedModel([call("note")]), tools=[note], hooks=[Fails()]).run("go")
    assert caught.value.messages[-1] == UserMessage("Hurry.")


# Ends


@pytest.mark.parametrize("how", ["task", "wait_for", "drop", "error", "hook"])
async def test_however_a_run_ends_its_journal_says_so(how: str) -> None:
    class Broken(Hooks):
        async def before_model(self, context: RunContext, request: ModelRequest, /) -> ModelRequest:
            raise LookupError("hook")

    journal = MemoryJournal()
    model = ScriptedModel([ProviderError("down") if how == "error" else Reply(text="I say so", delay=0.02)])
    agent = Agent(model, hooks=[Broken()] if how == "hook" else [])
    with pytest.raises((asyncio.CancelledError, TimeoutError, ProviderError, LookupError)):
        if how == "task":
            task = asyncio.create_task(agent.run("go", journal=journal))
            await asyncio.sleep(0.03)
            task.cancel()
            await task
        elif how == "drop":
            async for event in agent.stream("go", journal=journal):
                if type(event).__name__ == "TextDelta":
                    break
            del event
            await asyncio.sleep(0.05)
            raise asyncio.CancelledError
        else:
            await asyncio.wait_for(agent.run("go", journal=journal), 0.03 if how == "wait_for" else 5)
    last = journal.records[-1]
    assert isinstance(last, RunEnded)
    assert last.stop_reason == ("error" if how in ("error", "hook") else "cancelled")
    if how in ("task", "wait_for", "drop"):
        said = [m for m in fold(journal.records).messages if isinstance(m, AssistantMessage)]
        assert [m.text for m in said] == ["I sa"]


@pytest.mark.parametrize("at", range(14))
async def test_every_begin_has_its_end_wherever_a_run_is_cancelled(at: int) -> None:
    async def wait(n: int) -> None:
        await asyncio.sleep(5 if n == 2 else 0)

    turn = Reply(reasoning="Hm hm", text="Let me", calls=[call("wait", n=1), call("wait", n=2)])
    names: list[str] = []
    stream = Agent(ScriptedModel([turn]), tools=[wait]).stream("go")
    async with stream:
        async for event in stream:
            names.append(type(event).__name__)
            if len(names) == at + 1:
                stream.request_cancel()
    for begin in ("Run", "Turn", "Text", "Reasoning", "ToolCall", "Tool"):
        assert names.count(f"{begin}Begin") == names.count(f"{begin}End"), f"{begin} in {names}"


async def test_a_call_that_was_being_written_is_kept_as_cut() -> None:
    stream = Agent(ScriptedModel([Reply(calls=[call("write", text="long")], delay=0.02)])).stream("go")
    async for event in stream:
        if type(event).__name__ == "ToolCallDelta":
            result = await stream.cancel()
            break
    [said] = [m for m in result.messages if isinstance(m, AssistantMessage)]
    assert [c.name for c in said.cut_calls] == ["write"] and said.tool_calls == ()


async def test_a_cancel_before_the_first_event_is_heard() -> None:
    stream = Agent(ScriptedModel([Reply(text="x", delay=1)])).stream("go")
    stream.request_cancel("early")
    async for _ in stream:
        pass
    assert stream.result.stop_reason == "early"


async def test_a_swallowed_cancellation_does_not_undo_a_limit() -> None:
    class Swallows(Hooks):
        async def before_tool(self, context: RunContext, made: ToolCall, arguments: dict[str, Any], /) -> dict[str, Any]:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
            return arguments

    def step() -> str:
        return "ok"

    endless = FunctionModel(lambda request: call("step"))
    result = await Agent(endless, tools=[step], hooks=[Swallows()]).run("go", limits=Limits(wall_clock=0.03, repeats=None))
    assert result.stop_reason == "wall_clock"
    assert result.usage.requests <= 2


@pytest.mark.parametrize("reason", ["completed", "pending"])
async def test_a_run_is_not_cancelled_with_a_reason_that_lies(reason: str) -> None:
    def stop(ctx: RunContext) -> None:
        ctx.cancel(reason)

    result = await Agent(ScriptedModel([call("stop"), "ok"]), tools=[stop]).run("go")
    assert "cannot be cancelled with the reason" in results(result.messages)[0]


async def test_a_cancellation_from_within_a_hook_is_an_error() -> None:
    class Closed(Hooks):
        async def before_tool(self, context: RunContext, made: ToolCall, arguments: dict[str, Any], /) -> dict[str, Any]:
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled from within"):
        await Agent(ScriptedModel([call("x")]), tools=[tool(lambda: 1, name="x")], hooks=[Closed()]).run("go")


async def test_progress_of_a_thread_that_was_given_up_is_not_heard() -> None:
    @tool(timeout=0.02)
    def slow(ctx: RunContext) -> None:
        time.sleep(0.06)
        ctx.report("late")

    async def wait() -> None:
        await asyncio.sleep(0.1)

    script = ScriptedModel([call("slow"), call("wait"), "ok"])
    names = [type(e).__name__ async for e in Agent(script, tools=[slow, wait]).stream("go")]
    assert "ToolProgress" not in names


async def test_repeats_are_counted_across_resume() -> None:
    @tool(needs_approval=True)
    def poke() -> str:
        return "nothing"

    agent = Agent(FunctionModel(lambda r: call("poke")), tools=[poke], limits=Limits(repeats=3))
    result = await agent.run("go")
    for _ in range(10):
        if result.stop_reason != "pending":
            break
        result = await agent.resume(result, decisions={result.pending[0].id: True})
    assert (result.stop_reason, len(results(result.messages))) == ("repeated_calls", 3)


async def test_a_reused_key_ends_the_call_that_had_it() -> None:
    from test_loop import Parts

    from kimi_agent.wire.parts import CallArguments, CallBegin, Finish, TextPart

    def echo(n: int) -> int:
        return n

    twice = [CallBegin(0, "echo"), CallArguments(0, '{"n": 1}'), CallBegin(0, "echo"), CallArguments(0, '{"n": 2}'), Finish("stop")]
    result = await Agent(Parts([*twice], [TextPart("ok"), Finish("stop")]), tools=[echo]).run("go")
    assert results(result.messages) == ["1", "2"]


# Tools that go beyond


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "GeneratorExit", "SystemExit", "BaseException"])
def test_whatever_a_tool_raises_its_call_is_answered_and_run_sync_lives(kind: str) -> None:
    def blocking() -> None:
        raise {"BaseException": BaseException}.get(kind, getattr(__import__("builtins"), kind))("out")

    async def on_the_loop() -> None:
        blocking()

    agent = Agent(FunctionModel(lambda r: "ok" if len(r.messages) > 1 else [call("blocking"), call("on_the_loop")]),
                  tools=[blocking, on_the_loop])  # fmt: skip
    for _ in range(2):
        assert results(agent.run_sync("go").messages) == [f"{kind}: out"] * 2


FORK = """
import os, sys
from kimi_agent import Agent, FunctionModel, call

def f() -> str:
    return "fine"

agent = Agent(FunctionModel(lambda r: r.messages[-1].text if len(r.messages) > 1 else call("f")), tools=[f], tool_timeout=5)
assert agent.run_sync("go").output == "fine"
if (child := os.fork()) == 0:
    os._exit(0 if agent.run_sync("go").output == "fine" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_process_has_threads_of_its_own() -> None:
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK], check=True, timeout=30)


async def test_a_reminder_does_not_get_round_the_cap() -> None:
    def echo(text: str) -> str:
        return text

    script = [call("echo", text="x" * 5000)] * 5 + ["ok"]
    result = await Agent(ScriptedModel(script), tools=[echo], max_result_chars=100).run("go")
    assert max(map(len, results(result.messages))) < 700
