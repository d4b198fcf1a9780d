"""Parameters that are given: a pydantic model, a JSON Schema, and the tools of Moonshot's guide."""

from dataclasses import dataclass
from typing import Any

import pytest
from calling import answer, answers, offered
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from kimi_agent import Agent, RunContext, ScriptedModel, ToolDefinitionError, call, tool

pytestmark = pytest.mark.anyio


class Search(BaseModel):
    """How to search."""

    query: str = Field(min_length=1, description="what to look for")
    limit: int = 3


class Alias(BaseModel):
    from_: str = Field(alias="from")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    a: int


class Tree(BaseModel):
    value: int
    below: list["Tree"] = []


@dataclass(slots=True)
class Range:
    start: int
    end: int = 10


class Keys(TypedDict, total=False):
    key: int


WEATHER: dict[str, Any] = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string", "description": "name of the city"}, "days": {"type": "integer", "minimum": 1}},
}
GUIDE: list[dict[str, Any]] = [  # platform.kimi.ai/docs/guide/use-kimi-api-to-complete-tool-calls
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Search the internet.",
            "parameters": {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "crawl",
            "description": "Read a web page.",
            "parameters": {"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
        },
    },
]


async def test_the_guides_tools_with_functions_of_one_dict() -> None:
    def search(arguments: dict[str, Any]) -> Any:
        return {"result": arguments["query"]}

    async def crawl(arguments: dict[str, Any]) -> str:
        return f"page of {arguments['url']}"

    said = await answers(GUIDE, call("search", query="Kimi"), call("crawl", url="u"), tool_map={"search": search, "crawl": crawl})
    assert [m.text for m in said] == ['{"result": "Kimi"}', "page of u"]
    specs = await offered(GUIDE, tool_map={"search": search, "crawl": crawl})
    assert specs["search"].description == "Search the internet."
    assert specs["search"].parameters == GUIDE[0]["function"]["parameters"]


async def test_the_guides_tools_with_functions_of_keywords() -> None:
    """`tool_function(**tool_call_arguments)`, as in the K2 model card."""

    def get_weather(city: str, days: int = 1) -> str:
        """Not shown: the dict has a description."""
        return f"{city} {days}"

    async def anything(**args: Any) -> str:
        return str(args)

    weather = {"type": "function", "function": {"name": "get_weather", "description": "Get it.", "parameters": WEATHER}}
    for function, first in ((get_weather, "A 1"), (anything, "{'city': 'A'}")):
        said = await answers(
            [weather],
            call("get_weather", city="A"),
            call("get_weather", city="A", days=0),
            call("get_weather", days=1),
            tool_map={"get_weather": function},
        )
        assert said[0].text == first
        assert said[1].is_error
        assert "days: 0 is less than the minimum of 1" in said[1].text
        assert "'city' is a required property" in said[2].text


async def test_the_guides_tools_beside_functions_of_ones_own() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    said = await answers(
        [*GUIDE, add],
        call("add", a=1, b=2),
        call("crawl", url="u"),
        tool_map={"search": lambda arguments: "s", "crawl": lambda arguments: "c"},
    )
    assert [m.text for m in said] == ["3", "c"]


async def test_moonshots_own_tools_give_back_what_they_got() -> None:
    """`$web_search` runs on Moonshot's side; the guide's `search_impl(arguments)` returns its arguments: it need not be written."""
    builtin = {"type": "builtin_function", "function": {"name": "$web_search"}}
    for tool_map in ({}, {"$web_search": lambda arguments: arguments}):
        said = await answers([builtin], call("$web_search", search_result={"search_id": "x"}), tool_map=tool_map)
        assert said[0].text == '{"search_result": {"search_id": "x"}}'


def test_a_dict_without_its_function() -> None:
    with pytest.raises(ToolDefinitionError, match="no function for the tool 'crawl': pass it in `tool_map="):
        Agent(ScriptedModel([]), tools=GUIDE, tool_map={"search": print})
    with pytest.raises(ToolDefinitionError, match="is no tool"):
        Agent(ScriptedModel([]), tools=[{"name": "flat", "parameters": {}}])
    with pytest.raises(ToolDefinitionError, match="no function for the tool None"):
        Agent(ScriptedModel([]), tools=[{"type": "function", "function": {}}])


async def test_a_dict_without_parameters_or_description() -> None:
    def now() -> str:
        """The time."""
        return "noon"

    def takes(arguments: dict[str, Any]) -> str:
        return str(arguments)

    bare = {"type": "function", "function": {"name": "now"}}
    assert [m.text for m in await answers([bare], call("now"), tool_map={"now": now})] == ["noon"]
    assert [m.text for m in await answers([bare], call("now"), tool_map={"now": takes})] == ["{}"]
    spec = (await offered([bare], tool_map={"now": now}))["now"]
    assert (spec.description, spec.parameters) == ("The time.", {"type": "object", "properties": {}})


async def test_a_tool_in_a_tool_map_keeps_its_rules() -> None:
    @tool(name="other", timeout=3)
    def search(query: str) -> str:
        return query

    agent = Agent(ScriptedModel([call("search", query="q"), "done"]), tools=GUIDE[:1], tool_map={"search": search})
    assert (await agent.run("go")).messages[-2].text == "q"  # type: ignore[union-attr]


async def test_a_raw_schema_hands_over_what_it_says() -> None:
    def spread(city: str, ctx: RunContext[str], days: int = 5) -> str:
        return f"{city} {days} {ctx.deps}"

    def whole(ctx: RunContext[str], request: dict[str, Any]) -> str:
        return f"{request} {ctx.deps}"

    assert await answer(tool(spread, parameters=WEATHER), deps="d", city="A") == "A 5 d"
    assert await answer(tool(whole, parameters=WEATHER), deps="d", city="A") == "{'city': 'A'} d"


async def test_the_dialect_of_a_raw_schema() -> None:
    def f(**a: Any) -> str:
        return str(a)

    draft4 = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
    }
    assert "ERROR" in await answer(tool(f, parameters=draft4), n=0)
    definitions = {"properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"enum": [1]}}}
    assert await answer(tool(f, parameters=definitions), n=1) == "{'n': 1}"
    assert "n: 2 is not one of [1]" in await answer(tool(f, parameters=definitions), n=2)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "array"}, "must be a JSON Schema of type object, not 'array'"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "parameters are not a JSON Schema: 'strin'"),
        ({"type": "object", "properties": []}, "parameters are not a JSON Schema"),
        ({"type": "object", "required": "a"}, "parameters are not a JSON Schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/Missing"}}}, "'#/\\$defs/Missing' leads nowhere"),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}}, "leads nowhere in the schema"),
    ],
)
def test_bad_schemas(schema: dict[str, Any], problem: str) -> None:
    def f(**a: Any) -> None: ...

    with pytest.raises(ToolDefinitionError, match=f"f: .*{problem}"):
        _ = tool(f, parameters=schema).parameters


def test_schemas_that_the_function_cannot_take() -> None:
    def two(city: str, unit: str) -> None: ...

    def none() -> None: ...

    with pytest.raises(ToolDefinitionError, match="two: the schema has days, which the function does not take"):
        _ = tool(two, parameters=WEATHER).parameters
    with pytest.raises(ToolDefinitionError, match="none: the schema has city, days"):
        _ = tool(none, parameters=WEATHER).parameters
    with pytest.raises(ToolDefinitionError, match="two: the function needs unit, which the schema does not have"):
        _ = tool(two, parameters={"type": "object", "properties": {"city": {}}}).parameters


async def test_a_long_wrong_value_is_not_repeated_to_the_model() -> None:
    def f(**a: Any) -> None: ...

    text = await answer(tool(f, parameters={"properties": {"n": {"type": "integer"}}}), n="x" * 100_000)
    assert len(text) < 1000
    assert "is not of type 'integer'" in text


async def test_a_pydantic_model_whole_or_spread() -> None:
    def whole(params: Search) -> str:
        return repr(params)

    def unannotated(params):  # type: ignore[no-untyped-def]
        return repr(params)

    def spread(query: str, limit: int) -> str:
        return f"{query} {limit}"

    def keywords(**more: Any) -> str:
        return str(more)

    spec = (await offered([tool(whole, parameters=Search)]))["whole"]
    assert spec.parameters == {
        "type": "object",
        "required": ["query"],
        "properties": {
            "query": {"type": "string", "minLength": 1, "description": "what to look for"},
            "limit": {"type": "integer", "default": 3},
        },
    }
    assert await answer(tool(whole, parameters=Search), query="a") == "Search(query='a', limit=3)"
    assert await answer(tool(unannotated, parameters=Search), query="a") == "Search(query='a', limit=3)"
    assert await answer(tool(spread, parameters=Search), query="a") == "a 3", "the default that the model was told holds"
    assert await answer(tool(keywords, parameters=Search), query="a", limit="5") == "{'query': 'a', 'limit': 5}"
    assert "query: String should have at least 1 character" in await answer(tool(whole, parameters=Search), query="")


async def test_models_of_every_kind() -> None:
    def f(query: Search) -> str:
        return repr(query)

    def alias(from_: str) -> str:
        return from_

    def more(**all_: Any) -> str:
        return str(all_)

    def tree(root: Tree) -> int:
        return root.below[0].value

    def both(start: int, end: int) -> str:
        return f"{start} {end}"

    assert await answer(tool(f, parameters=Search), query="q") == "Search(query='q', limit=3)", "a parameter named as a field"
    assert await answer(tool(alias, parameters=Alias), **{"from": "A"}) == "A"
    assert await answer(tool(more, parameters=Open), a=1, z=2) == "{'a': 1, 'z': 2}"
    assert await answer(tool(both, parameters=Range), start="1") == "1 10"
    assert await answer(tool(more, parameters=Keys), key="1") == "{'key': 1}"
    made = tool(tree, parameters=Tree)
    assert made.parameters["properties"]["value"] == {"type": "integer"}
    assert await answer(made, value=1, below=[{"value": 2}]) == "2"


@pytest.mark.parametrize("kind", [int, list[int], RootModel[list[int]], RootModel[Search | Range]], ids=str)
def test_types_that_are_no_object(kind: Any) -> None:
    def f(value: Any) -> None: ...

    with pytest.raises(ToolDefinitionError, match="f: parameters must be a JSON Schema of type object"):
        _ = tool(f, parameters=kind).parameters


def test_types_that_pydantic_does_not_know() -> None:
    class Connection: ...

    with pytest.raises(ToolDefinitionError, match=r"f: parameters: .*Connection"):
        _ = tool(lambda c: c, name="f", parameters=Connection).parameters
