"""Tools of several servers with one name, and toolsets that have to wait: who goes by which name, who is asked when."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from calling import answers, offered

from kimi_agent import (
    Agent,
    FunctionToolset,
    RunContext,
    ScriptedModel,
    Tool,
    ToolDefinitionError,
    ToolMessage,
    ToolOutput,
    Toolset,
    call,
    tool,
)
from kimi_agent.tooling.legal_names import legal_name

pytestmark = pytest.mark.anyio


def of(server: str, name: str = "read", qualified: str | None = None) -> Tool[..., Any]:
    """A server's tool that says whose it is."""

    async def say() -> str:
        return f"{name} of {server}"

    return tool(say, name=name, qualified=qualified or f"{server}__{name}")


class Changing(Toolset):
    """Other tools in each turn."""

    def __init__(self, *turns: Sequence[Tool[..., Any]]) -> None:
        self._turns = turns

    async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
        return self._turns[min(context.turn, len(self._turns) - 1)]


async def test_a_name_that_one_server_has_stays_short() -> None:
    assert list(await offered([of("a"), of("b", "write")])) == ["read", "write"]


async def test_of_a_name_that_two_servers_have_both_go_by_the_long_one() -> None:
    tools = [of("a"), of("a", "write"), of("b")]
    assert list(await offered(tools)) == ["a__read", "write", "b__read"]
    said = await answers(tools, call("a__read"), call("b__read"), call("read"))
    assert [m.text for m in said[:2]] == ["read of a", "read of b"]
    assert said[2].text.startswith("There is no tool named 'read'. Did you mean 'a__read' or 'b__read'?")


async def test_a_function_of_ones_own_keeps_its_name() -> None:
    @tool
    async def read() -> str:
        """Reads."""
        return "my own"

    said = await answers([of("a"), read, of("b")], call("read"), call("a__read"))
    assert [m.text for m in said] == ["my own", "read of a"]


async def test_two_functions_of_ones_own_are_ones_mistake_still() -> None:
    mine = [tool(lambda: "x", name="read"), tool(lambda: "y", name="read")]
    with pytest.raises(ToolDefinitionError, match="two tools are named 'read'"):
        await offered([*mine, of("a")])


async def test_long_names_that_are_taken_are_counted() -> None:
    mine = tool(lambda: "mine", name="a__read_2")
    assert list(await offered([of("a"), of("a"), of("a"), mine])) == ["a__read", "a__read_3", "a__read_4", "a__read_2"]
    same = of("a")
    assert list(await offered([same, same])) == ["read"], "the same tool twice is one tool"
    bare = [of("a", qualified="read"), of("b")]
    assert list(await offered(bare)) == ["read_2", "b__read"], "a name that two have had belongs to none of them"


async def test_long_names_stay_within_the_rule() -> None:
    long = "a-server-with-a-name-that-nobody-can-remember-since-it-is-so-very-long"
    first, second = list(await offered([of(f"{long}1"), of(f"{long}2")]))
    assert len(first) == len(second) == 64
    assert first != second
    assert first.startswith(long[:55])
    assert list(await offered([of("my server!"), of("7")])) == [legal_name("my server!__read"), legal_name("7__read")]
    assert legal_name("my server!__read").startswith("my_server___read_")
    assert legal_name("7__read").startswith("tool_7__read_")
    assert legal_name("") != legal_name(" ")


@pytest.mark.parametrize(
    ("turns", "offered_names"),
    [
        (["a", "ab", "b", "a"], [["read"], ["a__read", "b__read"], ["b__read"], ["a__read"]]),
        (["a", "b", "a", "ab"], [["read"], ["b__read"], ["read"], ["a__read", "b__read"]]),
        (["ab", "b"], [["a__read", "b__read"], ["b__read"]]),
        (["a", "", "a"], [["read"], [], ["read"]]),
    ],
)
async def test_a_name_never_comes_to_mean_another_servers_tool(turns: list[str], offered_names: list[list[str]]) -> None:
    """Servers come and go from turn to turn; the model calls `read` all the time."""
    server = {name: of(name) for name in "ab"}
    model = ScriptedModel([*[call("read")] * len(turns), "done"])
    tools = [Changing(*[[server[name] for name in names] for names in turns])]
    result = await Agent(model, tools=tools).run("go")
    assert [[t.name for t in r.tools] for r in model.requests[: len(turns)]] == offered_names
    texts = [m.text for m in result.messages if isinstance(m, ToolMessage)]
    for text, names in zip(texts, offered_names, strict=True):
        assert text == "read of a" if "read" in names else text.startswith("There is no tool named 'read'.")


async def test_a_name_that_was_longer_for_a_while_is_near() -> None:
    said = (await answers([of("an_uncommonly_long_name")], call("an_uncommonly_long_name__read")))[0]
    assert said.text == "There is no tool named 'an_uncommonly_long_name__read'. Did you mean 'read'? Tools: read."


async def test_tools_keep_being_the_same_objects() -> None:
    """They are encoded once, and their schemas are made once."""
    model = ScriptedModel([call("a__read"), call("x_b__read"), "done"])
    tools = [of("a"), of("b"), FunctionToolset([of("a"), of("b")]).prefixed("x_")]
    await Agent(model, tools=tools).run("go")
    assert [t.name for t in model.requests[0].tools] == ["a__read", "b__read", "x_a__read", "x_b__read"]
    for request in model.requests[1:]:
        assert all(t is first for t, first in zip(request.tools, model.requests[0].tools, strict=True))


async def test_a_servers_tool_makes_way_for_the_answer() -> None:
    model = ScriptedModel([call("a__finish"), call("finish", result=3)])
    result = await Agent(model, tools=[of("a", "finish")], output=ToolOutput(int, name="finish")).run("go")
    assert (result.output, result.messages[2].text) == (3, "finish of a")  # type: ignore[union-attr]


def test_options_hold_all_that_a_tool_was_made_with() -> None:
    one = tool(of("a"), timeout=3, deferrable=True)
    assert (one.qualified, one.rules.deferrable, one.rules.timeout) == ("a__read", True, 3)
    other = Tool(**one.options)
    assert (other.name, other.qualified, other.rules) == (one.name, one.qualified, one.rules)
    assert one.renamed("x").qualified == "a__read"


class Slow(Toolset):
    """One that waits for something before it tells its tools."""

    slow = True

    def __init__(self, name: str, wait: Callable[[], Awaitable[object]]) -> None:
        self.name, self._wait, self.ended = name, wait, ""

    async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
        try:
            await self._wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        return [of("s", self.name)]


async def test_slow_toolsets_are_asked_at_once_and_keep_their_order() -> None:
    """None of the three ever ends unless all have begun."""
    begun = asyncio.Barrier(3)
    slow = [Slow(name, begun.wait) for name in ("one", "two", "three")]
    tools = [slow[0], of("q", "quick"), slow[1].prefixed("x_"), slow[2].filtered(lambda ctx, t: True).renamed({"three": "last"})]
    assert list(await offered(tools)) == ["one", "quick", "x_two", "last"]


async def test_what_one_raises_is_raised_as_it_was_and_the_others_are_cancelled() -> None:
    async def fail() -> None:
        raise ConnectionRefusedError("nobody there")

    waits = Slow("waits", asyncio.Event().wait)
    with pytest.raises(ConnectionRefusedError, match="nobody there"):
        await offered([waits, Slow("fails", fail)])
    assert waits.ended == "cancelled"


async def test_a_run_that_is_cancelled_meanwhile_is_cancelled() -> None:
    waits = [Slow(name, asyncio.Event().wait) for name in ("one", "two")]
    task = asyncio.create_task(Agent(ScriptedModel(["done"]), tools=waits).run("go"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [each.ended for each in waits] == ["cancelled", "cancelled"]
