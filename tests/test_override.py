"""`agent.override`: other attributes for the runs of a block."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from kimi_agent import Agent, FunctionModel, ScriptedModel, UserError, call, tool

pytestmark = pytest.mark.anyio


@tool
def double(x: int) -> int:
    return 2 * x


async def test_runs_of_the_block_have_the_other_model_and_those_behind_it_do_not() -> None:
    agent = Agent(ScriptedModel(["real"]))
    with agent.override(model=ScriptedModel(["test"])):
        assert (await agent.run("go")).output == "test"
    assert (await agent.run("go")).output == "real"


def test_it_holds_for_run_sync_too() -> None:
    agent = Agent(ScriptedModel([]))
    with agent.override(model=ScriptedModel(["test"])):
        assert agent.run_sync("go").output == "test"


async def test_blocks_nest_and_other_agents_keep_theirs() -> None:
    agent, other = Agent(ScriptedModel(["a"])), Agent(ScriptedModel(["b"]))
    with agent.override(model=ScriptedModel([call("double", x=2), "4"]), tools=[double]):
        with agent.override(instructions="Be brief."):
            result = await agent.run("go")
            assert result.output == "4"
        assert (await other.run("go")).output == "b"


@pytest.mark.parametrize(("everywhere", "said"), [(False, "real"), (True, "test")])
async def test_a_task_beside_the_block_is_touched_only_by_everywhere(everywhere: bool, said: str) -> None:
    agent = Agent(FunctionModel(lambda request: "real"))
    entered, done = asyncio.Event(), asyncio.Event()

    async def beside() -> str:
        await entered.wait()
        try:
            return (await agent.run("go")).output
        finally:
            done.set()

    task = asyncio.create_task(beside())
    with agent.override(model=ScriptedModel(["test"]), everywhere=everywhere):
        entered.set()
        await done.wait()
    assert await task == said
    assert (await agent.run("go")).output == "real"


async def test_a_stream_made_in_the_block_may_be_read_behind_it() -> None:
    agent = Agent(ScriptedModel([]))
    with agent.override(model=ScriptedModel(["test"])):
        stream = agent.stream("go")
    async for _ in stream:
        pass
    assert stream.result.output == "test"


async def test_a_run_that_waits_is_resumed_with_the_other_model() -> None:
    agent = Agent(ScriptedModel([]), tools=[tool(double.function, needs_approval=True)])
    with agent.override(model=ScriptedModel([call("double", x=1), "2"])):
        waiting = await agent.run("go")
        done = await agent.resume(waiting, decisions={waiting.pending[0].id: True})
    assert done.output == "2"


def test_an_attribute_that_there_is_not_is_said() -> None:
    agent = Agent(ScriptedModel([]))
    with pytest.raises(UserError, match="modell"), agent.override(modell=ScriptedModel([])):
        pass


async def test_a_block_of_its_own_is_nearer_than_everywhere() -> None:
    agent = Agent(ScriptedModel([]))
    with agent.override(model=ScriptedModel(["far"]), everywhere=True), agent.override(model=ScriptedModel(["near"])):
        assert (await agent.run("go")).output == "near"


@pytest.fixture
def overridden() -> Iterator[Agent]:
    agent = Agent(ScriptedModel([]))
    with agent.override(model=ScriptedModel(["from a fixture"]), everywhere=True):
        yield agent


@pytest.fixture
async def something_async() -> AsyncIterator[int]:
    yield 1


async def test_a_plain_fixture_may_override_for_an_async_test(something_async: int, overridden: Agent) -> None:
    assert (await overridden.run("go")).output == "from a fixture"


async def test_blocks_that_end_in_another_order_leave_nothing_behind() -> None:
    agent = Agent(FunctionModel(lambda request: "own"))

    def block(name: str) -> Iterator[None]:
        with agent.override(model=FunctionModel(lambda request: name)):
            yield

    first, second = block("one"), block("two")
    next(first), next(second)
    assert next(first, None) is None
    assert (await agent.run("go")).output == "two"
    assert next(second, None) is None
    assert (await agent.run("go")).output == "own"


async def test_the_innermost_block_holds_whichever_kind_it_is() -> None:
    agent = Agent(FunctionModel(lambda request: "own"))
    with agent.override(model=ScriptedModel([])), agent.override(model=ScriptedModel(["inner"]), everywhere=True):
        assert (await agent.run("go")).output == "inner"
