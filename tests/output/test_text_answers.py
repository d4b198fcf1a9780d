"""An answer that the model writes as text: it goes the way of all calls, or is refused with a reason."""

import asyncio
import time
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from kimi_agent import (
    Agent,
    AssistantMessage,
    Hooks,
    JsonSchema,
    MemoryJournal,
    NativeOutput,
    Profile,
    PromptedOutput,
    RunContext,
    ScriptedModel,
    ToolCall,
    ToolEnd,
    ToolResult,
    UserError,
    call,
    tool,
)
from kimi_agent.records import CallStarted

pytestmark = pytest.mark.anyio


class A(BaseModel):
    a: int = 0


class B(BaseModel):
    b: int


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize("way", [lambda of: of, PromptedOutput, NativeOutput])
async def test_a_function_is_approved_watched_and_journalled_also_where_the_answer_is_text(way: Any) -> None:
    paid: list[int] = []

    @tool(needs_approval=True)
    def pay(amount: int) -> int:
        paid.append(amount)
        return amount

    agent = Agent(ScriptedModel(['{"amount": 5}']), output=way(pay))
    waiting = await agent.run("go")
    assert (waiting.stop_reason, paid) == ("pending", [])
    done = await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert (done.stop_reason, done.output, paid) == ("completed", 5, [5])
    assert any(isinstance(r, CallStarted) for r in await done.journal.read())


async def test_hooks_and_events_see_the_call_that_a_text_is() -> None:
    class Guard(Hooks):
        async def before_tool(
            self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]
        ) -> dict[str, Any] | ToolResult:
            return ToolResult("Not allowed.", is_error=True)

    stream = Agent(ScriptedModel(['{"b": 1}']), output=B, hooks=[Guard()], output_retries=0).stream("go")
    ends = [e async for e in stream if isinstance(e, ToolEnd)]
    assert [e.call.name for e in ends] == ["final_result"]
    assert (stream.result.stop_reason, stream.result.has_output) == ("invalid_output", False)
    said = [m for m in stream.result.messages if isinstance(m, AssistantMessage)]
    assert said[-1].text == '{"b": 1}'


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        ([A, B], '{"b": 1}', B(b=1)),
        (B, '```json\r\n{"b": 1}\r\n```', B(b=1)),
        (B, '\ufeff{"b": 1}', B(b=1)),
        (Literal["yes", "no"], "yes", "yes"),
        (Color, " red\n", Color.RED),
        (Decimal, "0.5", Decimal("0.5")),
        (B | None, "null", None),
        ([A, str], "Which one?", "Which one?"),
    ],
)
async def test_what_is_understood(output: Any, text: str, value: Any) -> None:
    assert (await Agent(ScriptedModel([text]), output=output).run("go")).output == value


@pytest.mark.parametrize("output", [JsonSchema({"type": "number", "minimum": 0, "maximum": 1}), NativeOutput(list[float])])
async def test_what_is_no_json_is_no_answer(output: Any) -> None:
    result = await Agent(
        ScriptedModel(["NaN" if isinstance(output, JsonSchema) else "[NaN]"]), output=output, output_retries=0
    ).run("go")
    assert result.stop_reason == "invalid_output"


async def test_a_name_that_an_output_has_is_not_taken_for_the_envelope() -> None:
    class Media(BaseModel):
        kind: str
        title: str

    def book(title: str) -> str:
        return title

    result = await Agent(ScriptedModel(['{"kind": "book", "title": "X"}']), output=[book, Media]).run("go")
    assert result.output == Media(kind="book", title="X")


async def test_text_beside_a_type_is_asked_for_in_a_way_that_allows_text() -> None:
    model = ScriptedModel(["Which city?"], profile=Profile(output_modes=("native", "prompted", "tool")))
    assert (await Agent(model, output=[B, str]).run("go")).output == "Which city?"
    assert model.requests[0].settings.response_format is None
    with pytest.raises(UserError, match="leave `str` out"):
        Agent(model, output=NativeOutput([B, str]))


async def test_a_call_is_forced_only_right_after_text() -> None:
    model = ScriptedModel([call("final_result"), "text", call("final_result"), call("final_result", b=1)])
    result = await Agent(model, output=B, output_retries=5).run("go")
    assert result.output == B(b=1)
    assert [r.settings.tool_choice for r in model.requests] == [None, None, "required", None]


async def test_every_answer_that_does_not_fit_counts_once_a_turn() -> None:
    bad, good = call("final_result", b="x"), call("final_result", b=7)
    result = await Agent(ScriptedModel([[bad, bad], bad, good]), output=B, output_retries=2).run("go")
    assert result.output == B(b=7)


async def test_validators_are_bounded_and_do_not_hold_up_the_loop() -> None:
    def slow(value: Any) -> Any:
        time.sleep(0.5)
        return value

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    for output, text in ((str, "hi"), (NativeOutput(int), "4"), (int, "4")):
        agent = Agent(ScriptedModel([text]), output=output, output_validators=[slow], tool_timeout=0.05, output_retries=0)
        assert (await agent.run("go")).stop_reason == "invalid_output"
    ticker.cancel()
    assert ticks > 3


@pytest.mark.parametrize("validators", [[max], [3], len, [lambda a, b, c: a]])
def test_what_is_no_validator_is_said_at_once(validators: Any) -> None:
    with pytest.raises(UserError, match="validator"):
        Agent(ScriptedModel([]), output=B, output_validators=validators)


async def test_a_failing_journal_is_no_failure_of_the_tool() -> None:
    class Full(MemoryJournal):
        async def append(self, record: Any) -> None:
            if type(record).__name__ == "OutputAccepted":
                raise OSError("disk full")
            await super().append(record)

    model = ScriptedModel([call("final_result", b=1)])
    with pytest.raises(OSError, match="disk full"):
        await Agent(model, output=B).run("go", journal=Full())
    assert len(model.requests) == 1
