"""The turn that gives the answer: calls beside it, several answers, and what a journal keeps of it."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from kimi_agent import Agent, Approve, MemoryJournal, ScriptedModel, ToolMessage, call, tool
from kimi_agent.records import OutputAccepted, Record

pytestmark = pytest.mark.anyio


class Report(BaseModel):
    city: str


def results(messages: Sequence[Any]) -> dict[str, str]:
    return {m.name: m.text for m in messages if isinstance(m, ToolMessage)}


async def test_calls_beside_the_answer_all_run_and_those_before_it_are_done_first() -> None:
    done: list[str] = []

    @tool
    async def before() -> str:
        await asyncio.sleep(0.02)
        done.append("before")
        return "b"

    @tool
    async def behind() -> str:
        done.append("behind")
        return "h"

    def submit(city: str) -> str:
        done.append("submit")
        return city

    model = ScriptedModel([[call("before"), call("submit", city="Beijing"), call("behind")]])
    result = await Agent(model, output=submit, tools=[before, behind]).run("go")
    assert result.output == "Beijing"
    assert done == ["before", "submit", "behind"]
    assert results(result.messages) == {"before": "b", "submit": "The answer was accepted.", "behind": "h"}
    assert (result.stop_reason, len(model.requests)) == ("completed", 1)


async def test_a_failing_call_beside_the_answer_does_not_undo_it() -> None:
    @tool
    def broken() -> str:
        raise OSError("disk")

    result = await Agent(ScriptedModel([[call("broken"), call("final_result", city="X")]]), output=Report, tools=[broken]).run("go")
    assert result.output == Report(city="X")
    assert "disk" in results(result.messages)["broken"]


async def test_the_first_valid_answer_counts() -> None:
    answers = [call("final_result"), call("final_result", city="A"), call("final_result", city="B")]
    result = await Agent(ScriptedModel([answers]), output=Report).run("go")
    assert result.output == Report(city="A")
    texts = [m.text for m in result.messages if isinstance(m, ToolMessage)]
    assert "required" in texts[0]
    assert texts[1:] == ["The answer was accepted.", "Not used: the answer had been given already."]


async def test_a_call_that_waits_beside_the_answer_is_decided_before_the_run_completes() -> None:
    ran: list[int] = []

    @tool(needs_approval=True)
    def pay() -> str:
        ran.append(1)
        return "paid"

    model = ScriptedModel([[call("pay"), call("final_result", city="X")]])
    agent = Agent(model, output=Report, tools=[pay])
    waiting = await agent.run("go")
    assert waiting.stop_reason == "pending"
    done = await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert (done.stop_reason, done.output, ran) == ("completed", Report(city="X"), [1])
    assert len(model.requests) == 1


async def test_an_approver_is_not_asked_about_the_answer() -> None:
    asked: list[str] = []

    async def approver(context: Any, made: Any, arguments: Any) -> Approve:
        asked.append(made.name)
        return Approve()

    await Agent(ScriptedModel([call("final_result", city="X")]), output=Report, approver=approver).run("go")
    assert asked == []


async def test_an_output_function_may_need_approval() -> None:
    submit = tool(lambda city: city, name="submit", parameters=Report, needs_approval=True)
    agent = Agent(ScriptedModel([call("submit", city="X")]), output=submit)
    waiting = await agent.run("go")
    assert (waiting.stop_reason, waiting.has_output) == ("pending", False)
    done = await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert (done.stop_reason, done.output) == ("completed", "X")


class Stops(MemoryJournal):
    """A journal that breaks off after some records, as a process that is killed."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    async def append(self, record: Record) -> None:
        if self.left == 0:
            raise OSError("killed")
        self.left -= 1
        await super().append(record)


@pytest.mark.parametrize("after", range(1, 8))
async def test_a_run_killed_anywhere_gives_its_answer_once(after: int) -> None:
    made: list[str] = []

    def submit(city: str) -> Report:
        made.append(city)
        return Report(city=city)

    model = ScriptedModel([call("submit", city="A"), call("submit", city="B")])
    agent = Agent(model, output=submit)
    journal = Stops(after)
    with contextlib.suppress(OSError):
        await agent.run("go", journal=journal)
    journal.left = 99
    accepted = any(isinstance(r, OutputAccepted) for r in await journal.read())
    done = await agent.resume(journal)
    assert done.stop_reason == "completed"
    assert isinstance(done.output, Report)
    if accepted:  # it is read from the journal, and nothing is asked or made again
        assert (done.output, made, len(model.requests)) == (Report(city="A"), ["A"], 1)
    assert sum(isinstance(r, OutputAccepted) for r in await journal.read()) == 1


async def test_the_answer_of_a_finished_run_is_read_from_its_journal() -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel([call("final_result", city="A")]), output=Report)
    first = await agent.run("go", journal=journal)
    again = await agent.resume(journal)
    assert again.output == first.output == Report(city="A")


async def test_the_next_run_of_a_journal_needs_an_answer_of_its_own() -> None:
    journal = MemoryJournal()
    agent = Agent(ScriptedModel([call("final_result", city="A"), call("final_result", city="B")]), output=Report)
    await agent.run("go", journal=journal)
    assert (await agent.run("again", journal=journal)).output == Report(city="B")


async def test_a_message_injected_beside_the_answer_is_kept() -> None:
    @tool
    def nag(ctx: Any = None) -> str:
        return "x"

    stream = Agent(ScriptedModel([[call("nag"), call("final_result", city="A")]]), output=Report, tools=[nag]).stream("go")
    async for event in stream:
        if type(event).__name__ == "TurnEnd":
            stream.inject("Also Paris!")
    assert stream.result.output == Report(city="A")
    assert stream.result.messages[-1].text == "Also Paris!"
