"""Sampling that goes on beside its call: whose it is, when it ends, what it costs, and what the server hears of what went wrong."""

import asyncio
import logging
import sys
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from mcp_client.small import small

from kimi_agent import (
    Agent,
    FunctionModel,
    Hooks,
    Limits,
    MCPServer,
    MemoryJournal,
    ModelRequest,
    Reply,
    RunContext,
    ToolMessage,
    Usage,
    UserMessage,
    call,
)
from kimi_agent.mcp.client.inflight import CallOver, Flights
from kimi_agent.records import AsideEnded, RunEnded

pytestmark = pytest.mark.anyio
PROGRAM = Path(__file__).with_name("sampling_server.py")
OVER = "the call that this sampling request belonged to is over"
FAILED = "the model could not be asked"
SECRET = "policy 7 of tenant ACME"


def asks(**options: Any) -> MCPServer:
    return MCPServer(sys.executable, str(PROGRAM), **{"name": "asks", "sampling": True, **options})


def model(aside: Any, *turns: Any) -> FunctionModel:
    steps = iter(turns)

    def step(request: ModelRequest) -> Any:
        last = request.messages[-1]
        apart = isinstance(last, UserMessage) and last.text.startswith("apart")
        return (aside(request) if callable(aside) else aside) if apart else next(steps)

    return FunctionModel(step)


def said(messages: Any) -> list[str]:
    return [m.text for m in messages if isinstance(m, ToolMessage)]


class Hangs:
    """As an aside's answer, or as a callback: never done."""

    def __init__(self) -> None:
        self.asked, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Any) -> str:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        return "never"


async def test_a_call_that_is_out_of_time_ends_the_request_that_was_made_for_it() -> None:
    hangs, journal = Hangs(), MemoryJournal()
    async with asks(timeout=0.3) as server:
        agent = Agent(model(hangs, call("ask"), call("heard"), "Done."), tools=[server])
        result = await agent.run("go", journal=journal)
    assert hangs.ended.is_set()
    assert said(result.messages)[1] == OVER
    assert result.output == "Done."
    assert len([r for r in journal.records if isinstance(r, AsideEnded)]) == 1


async def test_a_run_that_is_cancelled_ends_the_request_and_journals_it_before_its_own_end() -> None:
    hangs, journal = Hangs(), MemoryJournal()
    async with asks() as server:
        stream = Agent(model(hangs, call("ask"), "Never said."), tools=[server]).stream("go", journal=journal)
        async with asyncio.timeout(20), stream:
            await hangs.asked.wait()
            assert (await stream.cancel()).stop_reason == "cancelled"
    assert hangs.ended.is_set()
    assert isinstance(journal.records[-1], RunEnded)
    assert len([r for r in journal.records if isinstance(r, AsideEnded)]) == 1


async def test_a_call_that_is_out_of_time_ends_the_callback_that_answers_for_it() -> None:
    hangs = Hangs()
    async with asks(sampling=hangs, timeout=0.3) as server:
        result = await Agent(model("", call("ask"), call("heard"), "Done."), tools=[server]).run("go")
    assert hangs.ended.is_set()
    assert said(result.messages)[1] == OVER


async def test_a_request_that_may_be_of_either_call_ends_with_the_last_of_them() -> None:
    """On stdio nothing tells which call it is for: the one that is over first may not be it."""
    go_on = asyncio.Event()

    async def once_the_other_is_over(request: ModelRequest) -> str:
        await go_on.wait()
        return "Yes."

    async with asks() as server:
        answers = model(once_the_other_is_over, Reply(calls=[call("hold"), call("ask")]), "Done.")
        stream = Agent(answers, tools=[server]).stream("go")
        async with asyncio.timeout(20):
            async for event in stream:
                if type(event).__name__ == "ToolEnd":
                    asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert said(stream.result.messages) == ["held", "Yes."]


async def test_requests_that_a_server_makes_side_by_side_keep_to_the_runs_tokens() -> None:
    used = Usage(requests=1, input_tokens=10, output_tokens=5)
    async with asks() as server:
        answers = model(lambda request: Reply(text="Yes.", usage=used, delay=0.01), call("ask", times=30), "Never said.")  # type: ignore[misc]
        result = await Agent(answers, tools=[server], limits=Limits(tokens=60)).run("go")
    assert (result.stop_reason, result.usage.requests) == ("tokens", 4)
    assert result.usage.total_tokens == 60
    assert said(result.messages)[0].count("has reached a limit") == 27


class Forbids(Hooks):
    async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest:
        if context.call_id:
            raise PermissionError(SECRET)
        return request


async def _fails(request: Any) -> str:
    raise PermissionError(SECRET)


@pytest.mark.parametrize("who", ["hook", "callback"])
async def test_a_server_does_not_hear_what_a_hook_or_a_callback_raised(who: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kimi_agent")
    async with asks(sampling=True if who == "hook" else _fails) as server:
        agent = Agent(model("", call("ask"), "Done."), tools=[server], hooks=[Forbids()] if who == "hook" else [])
        result = await agent.run("go")
    assert said(result.messages) == [FAILED]
    assert SECRET in caplog.text  # whoever runs it finds out why


async def test_a_callback_of_a_server_without_sessions_that_is_out_of_time_is_an_answer() -> None:
    async def slow(request: Any) -> str:
        raise TimeoutError("my model is slow")

    async with small(sampling=slow) as server:
        result = await Agent(model("", call("think", question="?"), "Done."), tools=[server]).run("go")
    assert FAILED in said(result.messages)[0]
    assert "TaskGroup" not in said(result.messages)[0]


async def test_a_picture_that_is_no_base64_is_refused_in_words() -> None:
    async with asks() as server:
        broken = call("ask", content={"type": "image", "data": "abcde", "mimeType": "image/png"})
        result = await Agent(model("", broken, "Done."), tools=[server]).run("go")
    assert said(result.messages) == ["an image or a sound is no base64"]


def a_run() -> RunContext[Any]:
    return RunContext(None, object())  # type: ignore[arg-type]


async def test_what_comes_for_a_call_that_is_over_belongs_to_nobody() -> None:
    """Over HTTP it comes in the call's own stream, and so with the call's own variables."""
    flights = Flights()
    with flights.one(a_run()):
        late = copy_context()
    other = a_run()
    with flights.one(other):
        assert late.run(flights.belongs_to) is None
        origin = flights.belongs_to()
        assert origin is not None and origin.context is other


async def test_what_is_begun_for_a_call_that_is_over_is_not_done() -> None:
    flights = Flights()
    with flights.one(a_run()):
        origin = flights.belongs_to()
    assert origin is not None
    with pytest.raises(CallOver):
        async with origin.errand():
            raise AssertionError("was done")
