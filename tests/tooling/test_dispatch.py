"""Dispatch: the calls of a turn are started early, bounded, timed, capped, and answered in order, whatever the tools do."""

import asyncio
import sys
import threading
import time
from typing import Any

import pytest

from kimi_agent import (
    Agent,
    Approve,
    Hooks,
    Message,
    ModelRetry,
    RunContext,
    ScriptedCall,
    ScriptedModel,
    Tool,
    ToolBegin,
    ToolCall,
    ToolEnd,
    ToolMessage,
    ToolProgress,
    ToolResult,
    ToolRules,
    call,
    tool,
)

pytestmark = pytest.mark.anyio


def results(messages: tuple[Message, ...]) -> list[str]:
    return [m.text for m in messages if isinstance(m, ToolMessage)]


async def answers(*calls: ScriptedCall, tools: list[Any], **options: Any) -> list[str]:
    """What the model sees of these calls, made in one turn."""
    return results((await Agent(ScriptedModel([list(calls), "ok"]), tools=tools, **options).run("go")).messages)


async def test_eight_blocking_tools_run_at_once() -> None:
    gate = threading.Barrier(8)

    def block(i: int) -> int:
        gate.wait(timeout=10)  # passes only if all eight are there
        return i

    assert await answers(*[call("block", i=i) for i in range(8)], tools=[block]) == [str(i) for i in range(8)]


async def test_results_come_in_call_order_whoever_is_first() -> None:
    async def wait(ms: int) -> int:
        await asyncio.sleep(ms / 1000)
        return ms

    assert await answers(call("wait", ms=30), call("wait", ms=1), call("wait", ms=15), tools=[wait]) == ["30", "1", "15"]


async def test_no_more_than_the_bound_run_at_once() -> None:
    running = peak = 0

    async def work(i: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.005)
        running -= 1
        return i

    await answers(*[call("work", i=i) for i in range(20)], tools=[work], tool_concurrency=3)
    assert peak == 3


async def test_a_sequential_tool_is_a_barrier() -> None:
    log: list[str] = []

    async def step(n: int) -> int:
        log.append(f"begin {n}")
        await asyncio.sleep(0.01)
        log.append(f"end {n}")
        return n

    together = tool(step, name="together")
    alone = tool(step, name="alone", sequential=True)
    await answers(
        call("together", n=1),
        call("together", n=2),
        call("alone", n=3),
        call("together", n=4),
        call("alone", n=5),
        tools=[together, alone],
    )
    assert log[:4] == ["begin 1", "begin 2", "end 1", "end 2"]
    assert log[4:] == ["begin 3", "end 3", "begin 4", "end 4", "begin 5", "end 5"]


async def test_unknown_names_are_answered_with_the_nearest() -> None:
    def get_weather(city: str) -> str:
        return "sunny"

    [near, far] = await answers(call("get_wether", city="x"), call("zzz"), tools=[get_weather])
    assert "There is no tool named 'get_wether'. Did you mean 'get_weather'?" in near
    assert "Did you mean" not in far and "get_weather" in far
    [none] = await answers(call("x"), tools=[])
    assert "There are no tools" in none


@pytest.mark.parametrize("arguments", ["[1]", '"x"', "{", "12", '{"n": NaN}', '{"n": 1} {"n": 2}', "[" * 100_000])
async def test_arguments_that_are_no_object_are_explained(arguments: str) -> None:
    def f(n: int) -> int:
        return n

    [text] = await answers(ScriptedCall("f", arguments), tools=[f])
    assert "JSON" in text and "Make the call again" in text


async def test_null_is_no_arguments() -> None:
    def now() -> str:
        return "12:00"

    assert await answers(ScriptedCall("now", "null"), ScriptedCall("now", ""), tools=[now]) == ["12:00", "12:00"]


async def test_invalid_arguments_say_what_is_wrong_and_what_is_right() -> None:
    def book(nights: int, room: str, smoking: bool = False) -> str:
        raise AssertionError("must not run")

    [text] = await answers(call("book", nights="many", smocking=True), tools=[book])
    assert "nights: Input should be a valid integer" in text and "'many'" in text
    assert "room: required, but missing" in text
    assert "smocking: there is no such parameter" in text
    assert '"nights": {"type": "integer"}' in text


async def test_line_breaks_in_strings_are_let_through() -> None:
    def echo(text: str) -> str:
        return text

    assert await answers(ScriptedCall("echo", '{"text": "a\nb"}'), tools=[echo]) == ["a\nb"]


async def test_exceptions_are_results_that_name_the_error() -> None:
    def fail() -> None:
        raise FileNotFoundError("notes.txt is not there")

    async def leave() -> None:
        sys.exit(3)

    def leave_thread() -> None:
        sys.exit("bye")

    texts = await answers(call("fail"), call("leave"), call("leave_thread"), tools=[fail, leave, leave_thread])
    assert texts == ["FileNotFoundError: notes.txt is not there", "SystemExit: 3", "SystemExit: bye"]


async def test_model_retry_has_a_budget_and_a_success_renews_it() -> None:
    seen: list[int] = []

    @tool(retries=2)
    def guess(ctx: RunContext, n: int) -> str:
        seen.append(ctx.retry)
        if n < 10:
            raise ModelRetry("higher")
        return "right"

    script = [call("guess", n=n) for n in (1, 2, 10, 3, 4, 5, 11)]
    result = await Agent(ScriptedModel([*script, "ok"]), tools=[guess]).run("go")
    texts = results(result.messages)
    assert ["higher" in t for t in texts] == [True, True, False, True, True, True, False]
    assert "closed for the rest of this run" in texts[6]
    assert seen == [0, 1, 2, 0, 1, 2]
    assert [m.is_error for m in result.messages if isinstance(m, ToolMessage)] == [True, True, False, True, True, True, True]


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_tool_that_takes_too_long_is_answered_for(blocking: bool) -> None:
    release = threading.Event()

    @tool(timeout=0.05, name="slow")
    def hang() -> None:
        release.wait(20)

    @tool(timeout=0.05, name="slow")
    async def sleep() -> None:
        await asyncio.sleep(20)

    begun = time.monotonic()
    [text] = await answers(call("slow"), tools=[hang if blocking else sleep])
    release.set()
    assert time.monotonic() - begun < 10
    assert "slow did not finish within 0.05 s" in text
    assert ("thread" in text) is blocking


async def test_the_agents_timeout_holds_where_a_tool_has_none() -> None:
    async def sleep() -> None:
        await asyncio.sleep(20)

    [text] = await answers(call("sleep"), tools=[sleep], tool_timeout=0.02)
    assert "0.02 s" in text


async def test_a_tools_own_timeout_error_and_cancellation_are_errors_of_the_tool() -> None:
    async def own_timeout() -> None:
        raise TimeoutError("upstream")

    async def own_cancel() -> None:
        raise asyncio.CancelledError

    texts = await answers(call("own_timeout"), call("own_cancel"), tools=[own_timeout, own_cancel])
    assert texts == ["TimeoutError: upstream", "The tool was cancelled from within."]


async def test_results_are_capped_and_say_so() -> None:
    @tool(max_result_chars=100)
    def long() -> str:
        return "a" * 500 + "THE END"

    def longer() -> str:
        return "b" * 2000

    [first, second] = await answers(call("long"), call("longer"), tools=[long, longer], max_result_chars=1000)
    assert first.startswith("aaa") and first.endswith("THE END") and "407 of 507 characters left out" in first
    assert second.count("b") == 1000


async def test_cancellation_leaves_no_task_behind_and_runs_cleanup() -> None:
    begun, cleaned = asyncio.Event(), list[int]()

    async def wait(n: int) -> None:
        if n == 2:
            begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)  # cleaning up may take a while
            cleaned.append(n)

    before = asyncio.all_tasks()
    agent = Agent(ScriptedModel([[call("wait", n=i) for i in range(3)]]), tools=[wait])
    run = asyncio.create_task(agent.run("go"))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(cleaned) == [0, 1, 2]
    assert asyncio.all_tasks() == before


async def test_a_blocking_tool_does_not_hold_up_cancellation() -> None:
    release, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(20)

    stream = Agent(ScriptedModel([call("hang")]), tools=[hang]).stream("go")
    async for event in stream:
        if isinstance(event, ToolBegin):
            await asyncio.to_thread(begun.wait, 5)
            begun_at = time.monotonic()
            result = await stream.cancel("enough")
            break
    assert time.monotonic() - begun_at < 5
    assert result.stop_reason == "enough"
    release.set()


async def test_events_tell_progress_value_and_time() -> None:
    def work(ctx: RunContext) -> dict[str, int]:
        ctx.report("half way")
        time.sleep(0.01)
        return {"n": 1}

    events = [e async for e in Agent(ScriptedModel([call("work"), "ok"]), tools=[work]).stream("go")]
    [begin] = [e for e in events if isinstance(e, ToolBegin)]
    [progress] = [e for e in events if isinstance(e, ToolProgress)]
    [end] = [e for e in events if isinstance(e, ToolEnd)]
    assert begin.call == end.call and progress.call_id == begin.call.id
    assert (progress.text, end.value, end.result.text) == ("half way", {"n": 1}, '{"n": 1}')
    assert end.seconds >= 0.01


async def test_a_hook_can_answer_for_a_tool() -> None:
    ran: list[int] = []

    def double(n: int) -> int:
        ran.append(n)
        return 2 * n

    class Cache(Hooks):
        async def before_tool(
            self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]
        ) -> dict[str, Any] | ToolResult:
            return ToolResult("from the cache") if arguments["n"] == 1 else arguments

    assert await answers(call("double", n=1), call("double", n=2), tools=[double], hooks=[Cache()]) == ["from the cache", "4"]
    assert ran == [2]


async def test_long_schemas_are_named_not_printed() -> None:
    def wide(**values: int) -> None: ...

    properties = {f"parameter_{i}": {"type": "integer", "description": "x" * 50} for i in range(60)}
    schema = {"type": "object", "properties": properties, "required": ["parameter_1"]}
    [text] = await answers(call("wide"), tools=[tool(wide, parameters=schema)])
    assert "parameter_59" in text and "description" not in text


@pytest.mark.parametrize("rule", ["sync", "async", "broken"])
async def test_a_rule_says_which_calls_need_approval_and_a_broken_one_is_on_the_safe_side(rule: str) -> None:
    def big(ctx: RunContext[Any], arguments: dict[str, Any]) -> bool:
        return arguments["amount"] > 10

    async def big_async(ctx: RunContext[Any], arguments: dict[str, Any]) -> bool:
        return big(ctx, arguments)

    def broken(ctx: RunContext[Any], arguments: dict[str, Any]) -> bool:
        raise KeyError("oops")

    @tool(needs_approval={"sync": big, "async": big_async, "broken": broken}[rule])
    def pay(amount: int) -> str:
        return f"paid {amount}"

    result = await Agent(ScriptedModel([[call("pay", amount=5), call("pay", amount=50)], "ok"]), tools=[pay]).run("go")
    assert result.stop_reason == "pending"
    assert [c.arguments for c in result.pending] == [f'{{"amount": {n}}}' for n in ((5, 50) if rule == "broken" else (50,))]


class Foreign(Tool[..., Any]):
    """Somebody else's tool, who may change it."""

    said = "harmless"
    now = "harmless"

    @property
    def definition(self) -> str:
        return f"server/wipe#{self.said}"

    async def unchanged(self) -> bool:
        return self.said == self.now


def foreign(ran: list[str], **more: Any) -> Foreign:
    def wipe(what: str) -> str:
        ran.append(what)
        return "wiped"

    tool = Foreign(wipe, rules=ToolRules(needs_approval=True))
    for name, value in more.items():
        setattr(tool, name, value)
    return tool


async def test_a_tool_that_changed_while_a_person_was_asked_does_not_run() -> None:
    ran: list[str] = []
    tool = foreign(ran)
    shown: list[str] = []

    async def approver(context: RunContext[Any], call_: ToolCall, arguments: dict[str, Any]) -> Approve:
        shown.append(context.definition)
        tool.now = "deletes everything"
        return Approve()

    model = ScriptedModel([call("wipe", what="disk"), "ok"])
    result = await Agent(model, tools=[tool], approver=approver).run("go")
    assert shown == ["server/wipe#harmless"]
    assert ran == []
    assert "not the tool any more that was approved" in result.messages[2].text


async def test_an_approval_that_was_given_later_holds_for_the_tool_that_waited() -> None:
    ran: list[str] = []
    waits = await Agent(ScriptedModel([call("wipe", what="disk")]), tools=[foreign(ran)]).run("go")
    (pending,) = waits.pending
    other = Agent(ScriptedModel(["ok"]), tools=[foreign(ran, said="other", now="other")])
    result = await other.resume(waits, decisions={pending.id: True})
    assert ran == [] and result.messages[2].is_error


async def test_an_approval_that_was_given_later_runs_the_tool_that_is_the_same() -> None:
    ran: list[str] = []
    waits = await Agent(ScriptedModel([call("wipe", what="disk")]), tools=[foreign(ran)]).run("go")
    (pending,) = waits.pending
    await Agent(ScriptedModel(["ok"]), tools=[foreign(ran)]).resume(waits, decisions={pending.id: True})
    assert ran == ["disk"]
