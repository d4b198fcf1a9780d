"""Toolsets: filtered, prefixed, renamed, and changing from turn to turn."""

from collections.abc import Sequence
from typing import Any

import pytest
from calling import answers, offered

from kimi_agent import Agent, FunctionToolset, RunContext, ScriptedModel, Tool, ToolDefinitionError, Toolset, call, tool

pytestmark = pytest.mark.anyio


@tool(timeout=5)
def read(path: str) -> str:
    """Reads."""
    return f"read {path}"


def write(path: str, ctx: RunContext[Any]) -> str:
    """Writes."""
    return f"{ctx.tool_name} {path}"


FILES = FunctionToolset([read, write])


async def test_prefixed_renamed_filtered_and_all_of_them() -> None:
    assert list(await offered([FILES])) == ["read", "write"]
    assert list(await offered([FILES.prefixed("fs_")])) == ["fs_read", "fs_write"]
    assert list(await offered([FILES.renamed({"read": "cat"})])) == ["cat", "write"]
    assert list(await offered([FILES.filtered(lambda ctx, t: t.name != "write")])) == ["read"]
    chain = FILES.renamed({"read": "cat"}).filtered(lambda ctx, t: t.name == "cat").prefixed("fs_")
    assert list(await offered([chain])) == ["fs_cat"]


async def test_a_renamed_tool_is_called_by_its_new_name_only() -> None:
    said = await answers([FILES.prefixed("fs_")], call("fs_read", path="a"), call("fs_write", path="b"), call("read", path="c"))
    assert [m.text for m in said[:2]] == ["read a", "fs_write b"]
    assert said[2].text == "There is no tool named 'read'. Did you mean 'fs_read'? Tools: fs_read, fs_write."


async def test_rules_and_words_survive_a_new_name() -> None:
    class Watch(Toolset):
        seen: Sequence[Tool[..., Any]] = ()

        async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
            self.seen = await FILES.prefixed("fs_").tools(context)
            return self.seen

    watch = Watch()
    spec = (await offered([watch]))["fs_read"]
    assert spec.description == "Reads."
    assert watch.seen[0].rules.timeout == 5


async def test_a_filter_knows_the_run_and_may_be_async() -> None:
    def allowed(ctx: RunContext[set[str]], each: Tool[..., Any]) -> bool:
        return each.name in ctx.deps

    async def allowed_later(ctx: RunContext[set[str]], each: Tool[..., Any]) -> bool:
        return each.name in ctx.deps

    for keep in (allowed, allowed_later):
        model = ScriptedModel([call("write", path="x"), "done"])
        result = await Agent(model, tools=[FILES.filtered(keep)]).run("go", deps={"read"})
        assert [t.name for t in model.requests[0].tools] == ["read"]
        assert "There is no tool named 'write'" in result.messages[2].text  # type: ignore[union-attr]


async def test_a_toolset_may_change_between_turns() -> None:
    class Growing(Toolset):
        def __init__(self) -> None:
            self.known: list[Tool[..., Any]] = [tool(self.learn)]

        def learn(self, name: str) -> str:
            """Learns a tool."""
            self.known.append(tool(lambda: f"I am {name}", name=name))
            return "learnt"

        async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
            return self.known

    model = ScriptedModel([call("x_learn", name="dance"), call("x_dance"), "done"])
    result = await Agent(model, tools=[Growing().prefixed("x_")]).run("go")
    assert [[t.name for t in r.tools] for r in model.requests] == [["x_learn"], ["x_learn", "x_dance"], ["x_learn", "x_dance"]]
    assert result.messages[4].text == "I am dance"  # type: ignore[union-attr]


async def test_schemas_of_renamed_tools_are_made_once() -> None:
    """A request's tools are encoded once as long as the specs are the same objects."""
    model = ScriptedModel([call("fs_read", path="a"), "done"])
    await Agent(model, tools=[FILES.prefixed("fs_")]).run("go")
    first, second = (r.tools for r in model.requests)
    assert all(a is b for a, b in zip(first, second, strict=True))


async def test_two_tools_of_one_name() -> None:
    agent = Agent(ScriptedModel(["done"]), tools=[read, FILES])
    assert (await agent.run("the same tool twice is one tool")).output == "done"
    clash = Agent(ScriptedModel(["done"]), tools=[FILES, tool(write, name="read")])
    with pytest.raises(ToolDefinitionError, match="two tools are named 'read': rename one, or prefix its toolset"):
        await clash.run("go")
    assert list(await offered([FILES, FunctionToolset([tool(write, name="read")]).prefixed("b_")])) == ["read", "write", "b_read"]


async def test_a_prefix_that_makes_bad_names() -> None:
    with pytest.raises(ToolDefinitionError, match=r"'my read' is no name for a tool"):
        await Agent(ScriptedModel(["done"]), tools=[FILES.prefixed("my ")]).run("go")


async def test_a_toolset_of_openai_dicts() -> None:
    spec = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}
    said = await answers([FunctionToolset([spec], {"f": lambda a: a + 1}).prefixed("x_")], call("x_f", a=1))
    assert said[0].text == "2"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (read, r"takes a list of functions and tools: FunctionToolset\(\[…\]\)"),
        (FILES, "takes a list of functions and tools"),
        ([FILES], "a toolset cannot stand in a FunctionToolset"),
        (["read"], "'read' is no tool"),
        ([None], "None is no tool"),
    ],
)
def test_what_a_function_toolset_is_not_made_of(given: Any, problem: str) -> None:
    with pytest.raises(ToolDefinitionError, match=problem):
        FunctionToolset(given)


def test_an_empty_toolset_is_fine() -> None:
    assert Agent(ScriptedModel(["done"]), tools=[FunctionToolset([])]).run_sync("go").output == "done"
