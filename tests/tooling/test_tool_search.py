"""Very many tools: the model is told of few, searches for the others, and may call any."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from calling import answers

from kimi_agent import (
    Agent,
    AssistantMessage,
    Hooks,
    MemoryJournal,
    ModelRetry,
    ModelSettings,
    Reply,
    RunContext,
    ScriptedCall,
    ScriptedModel,
    Tool,
    ToolCall,
    ToolMessage,
    ToolOutput,
    UserError,
    call,
    dump_messages,
    load_messages,
    tool,
)

pytestmark = pytest.mark.anyio
VERBS = ["create", "read", "update", "delete", "list", "export", "import", "archive", "restore", "compare"]
NOUNS = ["issue", "file", "repository", "branch", "comment", "invoice", "calendar", "message", "page", "user"]
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Where it is."}, "depth": {"type": "integer", "minimum": 1}},
    "required": ["path"],
}


async def act(**given: Any) -> str:
    return f"acted on {given['path']}, depth {given.get('depth', 1)}"


def deferrable(name: str, description: str = "", server: str | None = None, parameters: Any = SCHEMA) -> Tool[..., Any]:
    qualified = f"{server}__{name}" if server else None
    return tool(act, name=name, description=description, parameters=parameters, qualified=qualified, deferrable=True)


def many(servers: int = 10) -> list[Tool[..., Any]]:
    """A hundred tools a server."""
    return [
        deferrable(f"{verb}_{noun}_{number}", f"To {verb} a {noun} that the system keeps.", f"system{number}")
        for number in range(servers)
        for noun in NOUNS
        for verb in VERBS
    ]


def names(model: ScriptedModel) -> list[list[str]]:
    return [[spec.name for spec in request.tools] for request in model.requests]


def size(model: ScriptedModel, turn: int) -> int:
    """Characters of the tools in a request."""
    return sum(len(json.dumps([t.name, t.description, t.parameters])) for t in model.requests[turn].tools)


def found(message: Any) -> list[str]:
    assert isinstance(message, ToolMessage)
    return [json.loads(line)["name"] for line in message.text.splitlines() if line.startswith("{")]


async def searched(query: str, tools: Sequence[Tool[..., Any]], limit: int = 5) -> list[str]:
    return found((await answers(tools, call("search_tools", query=query, limit=limit), tool_search_above=0))[0])


@tool
async def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


async def test_few_are_told_and_what_is_found_is_offered_from_then_on() -> None:
    model = ScriptedModel([call("search_tools", query="export an invoice", limit=2), call("export_invoice_3", path="x"), "done"])
    result = await Agent(model, tools=[add, *many()]).run("go")
    assert result.messages[4].text == "acted on x, depth 1"  # type: ignore[union-attr]
    first, second, third = names(model)
    assert first == ["add", "search_tools"]
    assert second == ["add", "search_tools", "export_invoice_0", "export_invoice_1"]
    assert third == [*second, "export_invoice_3"], "what was called is loaded too"


async def test_what_is_sent_is_a_small_part_of_what_there_is() -> None:
    sizes: list[int] = []
    for above in (40, None):
        model = ScriptedModel([call("search_tools", query="archive a calendar"), "done"] if above else ["done"])
        await Agent(model, tools=many(), tool_search_above=above).run("go")
        sizes.append(max(size(model, turn) for turn in range(len(model.requests))))
    with_search, without = sizes
    assert without > 200_000
    assert with_search < 3_000


async def test_the_result_says_what_a_tool_is_for_and_how_it_is_called() -> None:
    long = deferrable("long_one", "Compares\n  everything. " * 100)
    said = (await answers([long], call("search_tools", query="compares"), tool_search_above=0))[0]
    first, last = said.text.splitlines()
    told = json.loads(first)
    assert (told["name"], told["parameters"]) == ("long_one", "path, depth?")
    assert told["description"].startswith("Compares everything. Compares")
    assert len(told["description"]) <= 300
    assert last == "They are loaded: call them as any other tool."


async def test_a_tool_that_was_not_told_of_runs_all_the_same_and_is_checked() -> None:
    said = await answers(many(), call("read_file_7", path="a", depth=0), call("read_file_7", path="a", depth="2"))
    assert "depth: 0 is less than the minimum of 1" in said[0].text
    assert said[1].text == "acted on a, depth 2"


async def test_a_leaked_call_of_a_tool_that_was_not_told_of_is_healed() -> None:
    leak = '<|tool_call_begin|>functions.read_file_7:0<|tool_call_argument_begin|>{"path": "a"}<|tool_call_end|>'
    model = ScriptedModel([leak, "done"])
    result = await Agent(model, tools=many()).run("go")
    assert result.messages[2].text == "acted on a, depth 1"  # type: ignore[union-attr]
    assert result.healed == {"leaked_call": 1}


async def test_what_is_loaded_is_what_the_conversation_says() -> None:
    first = await Agent(ScriptedModel([call("search_tools", query="archive_page_2"), "done"]), tools=many()).run("go")
    saved = dump_messages(first.messages)
    model = ScriptedModel(["done"])
    await Agent(model, tools=many()).run("and now?", messages=load_messages(saved))
    assert names(model)[0][:2] == ["search_tools", "archive_page_2"]
    gone = ScriptedModel(["done"])
    await Agent(gone, tools=many(2)).run("and now?", messages=load_messages(saved))
    assert names(gone) == [["search_tools"]], "its server has none of these tools any more"


async def test_a_resumed_run_has_loaded_what_it_had() -> None:
    journal = MemoryJournal()
    breaks = ScriptedModel([call("search_tools", query="archive_page_2", limit=1), RuntimeError("the power failed")])
    with pytest.raises(RuntimeError):
        await Agent(breaks, tools=many()).run("go", journal=journal)
    model = ScriptedModel(["done"])
    await Agent(model, tools=many()).resume(journal)
    assert names(model) == [["search_tools", "archive_page_2"]]


async def test_only_the_most_recent_stay_loaded_and_none_changes_its_place() -> None:
    model = ScriptedModel([*[call("search_tools", query=verb, limit=50) for verb in ("read", "create", "read")], "done"])
    await Agent(model, tools=many()).run("go")
    turns = [set(each[1:]) for each in names(model)]
    assert [len(each) for each in turns] == [0, 20, 30, 30]
    assert sum(name.startswith("create") for name in turns[2]) == 20
    assert sum(name.startswith("read") for name in turns[3]) == 20, "what was found again is recent again"
    kept = [name for name in names(model)[2] if name in turns[3]]
    assert [name for name in names(model)[3] if name in turns[2]] == kept


async def test_the_search_says_what_there_is_and_says_the_same_in_each_turn() -> None:
    model = ScriptedModel([call("search_tools", query="read_file_1"), call("add", a=1, b=2), "done"])
    await Agent(model, tools=[add, *many(3), *(deferrable(f"fs_{i}") for i in range(4)), deferrable("odd")]).run("go")
    first, second, third = (next(t for t in r.tools if t.name == "search_tools") for r in model.requests)
    assert "305 tools" in first.description
    assert "system0 (100), system1 (100), system2 (100), fs (4), others (1)" in first.description
    assert first is second is third, "the same object: it is encoded once, and prompt caches hold"


async def test_a_search_that_finds_nothing_says_what_there_is() -> None:
    said = await answers(many(2), call("search_tools", query="teleport"), call("search_tools", query=""))
    assert said[0].text.startswith("No tool fits 'teleport'. Try other words")
    assert said[0].text.endswith("Groups: system0 (100), system1 (100).")
    assert not said[0].is_error
    assert said[1].text.startswith("No tool fits ''.")


@pytest.mark.parametrize("above", [None, 200])
async def test_all_are_told_where_they_are_few_enough_or_nobody_wants_a_search(above: int | None) -> None:
    model = ScriptedModel(["done"])
    await Agent(model, tools=many(2), tool_search_above=above).run("go")
    assert len(model.requests[0].tools) == 200


async def test_tools_that_cannot_wait_are_always_told() -> None:
    model = ScriptedModel(["done"])
    await Agent(model, tools=[t.with_rules(deferrable=False) for t in many(1)]).run("go")
    assert len(model.requests[0].tools) == 100
    assert "search_tools" not in names(model)[0]


async def test_the_filter_of_the_agent_comes_first() -> None:
    def only_files(context: RunContext[Any], tools: list[Tool[..., Any]]) -> list[Tool[..., Any]]:
        return [t for t in tools if "file" in t.name]

    model = ScriptedModel([[call("search_tools", query="read", limit=20), call("read_page_1", path="x")], "done"])
    result = await Agent(model, tools=many(), prepare_tools=only_files).run("go")
    assert set(found(result.messages[2])) == {f"read_file_{i}" for i in range(10)}
    assert result.messages[3].text.startswith("There is no tool named 'read_page_1'.")  # type: ignore[union-attr]


async def test_a_tool_that_the_settings_demand_is_told() -> None:
    model = ScriptedModel([call("read_file_1", path="x"), "done"])
    await Agent(model, tools=many(), settings=ModelSettings(tool_choice="read_file_1")).run("go")
    assert names(model)[0] == ["search_tools", "read_file_1"]


async def test_a_tool_or_an_answer_of_the_same_name_as_the_search() -> None:
    @tool
    async def search_tools(shop: str) -> str:
        """Finds hammers."""
        return f"hammers of {shop}"

    model = ScriptedModel(
        [[call("search_tools", shop="Obi"), call("find_tools", query="read_file_3", limit=1)], call("finish", result=1)]
    )
    result = await Agent(model, tools=[search_tools, *many()], output=ToolOutput(int, name="finish")).run("go")
    assert result.messages[2].text == "hammers of Obi"  # type: ignore[union-attr]
    assert names(model)[1] == ["search_tools", "find_tools", "read_file_3", "finish"]


async def test_a_name_that_there_is_not_is_answered_in_bounds() -> None:
    said = (await answers([*many(), add], call("wread_file_7", path="x")))[0]
    assert "Did you mean 'read_file_7'" in said.text
    assert "Tools: add, search_tools, create_issue_0" in said.text
    assert said.text.endswith("and 952 more.")
    assert len(said.text) < 2_000


BAD = {"type": "object", "properties": {"x": {"$ref": "#/$defs/nowhere"}}}


async def test_a_schema_of_a_stranger_that_cannot_be_used_costs_that_tool_only(caplog: pytest.LogCaptureFixture) -> None:
    bad = tool(act, name="bad", parameters=BAD, qualified="shop__bad")
    model = ScriptedModel([[call("bad", x=1), call("add", a=1, b=2)], "done"])
    with caplog.at_level(logging.WARNING):
        result = await Agent(model, tools=[bad, add]).run("go")
    assert names(model) == [["add"], ["add"]]
    assert result.messages[2].text == "bad cannot be called: it describes its parameters in a way that nobody can check."  # type: ignore[union-attr]
    assert result.messages[3].text == "3"  # type: ignore[union-attr]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.startswith("the tool shop__bad is left out: ")
    assert "#/$defs/nowhere" in warning


async def test_such_a_tool_is_not_found_either() -> None:
    tools = [deferrable("import_stamps", parameters=BAD), deferrable("import_coins")]
    assert await searched("import", tools) == ["import_coins"]


async def test_a_function_of_ones_own_with_such_a_schema_is_ones_mistake() -> None:
    with pytest.raises(UserError, match="leads nowhere"):
        await Agent(ScriptedModel(["done"]), tools=[tool(act, name="bad", parameters=BAD), add]).run("go")


SHELF = [
    deferrable("searchIssues", "Full text over all tickets.", "github"),
    deferrable("search", "Finds pages on the web.", "web"),
    deferrable("read_text_file", "Contents of a file as text.", "files"),
    deferrable("list_directory", "Names of files in a directory.", "files"),
    deferrable("HTTPFetch", "Downloads a URL."),
    deferrable("get_weather", "查询一个城市的天气预报"),
    deferrable("send_mail", "メールを送信する"),
    deferrable("convert", "Währungen umrechnen", parameters={"type": "object", "properties": {"currency": {}}}),
]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("search", "search"),
        ("github__searchIssues", "searchIssues"),
        ("searchissues", "searchIssues"),
        ("search github tickets", "searchIssues"),
        ("github", "searchIssues"),
        ("How do I read a file?", "read_text_file"),
        ("reading files", "read_text_file"),
        ("directories", "list_directory"),
        ("web page", "search"),
        ("http", "HTTPFetch"),
        ("fetch url", "HTTPFetch"),
        ("天气", "get_weather"),
        ("查一下北京的天气", "get_weather"),
        ("气", "get_weather"),
        ("メール", "send_mail"),
        ("WEATHER", "get_weather"),
        ("currency", "convert"),
        ("währung", "convert"),
    ],
)
async def test_what_a_search_finds_first(query: str, best: str) -> None:
    assert (await searched(query, SHELF))[0] == best


@pytest.mark.parametrize("query", ["the", "how to use a tool for me", "zzz", "\x00\ud83d", "-", "(" * 5000])
async def test_words_that_say_nothing_find_nothing(query: str) -> None:
    assert await searched(query, SHELF) == []


async def test_limits_that_make_no_sense_are_taken_to_the_nearest_that_do() -> None:
    assert len(await searched("issue", many(3), limit=-1)) == 1
    assert len(await searched("issue", many(3), limit=10_000)) == 20


async def test_a_number_of_tools_that_is_none() -> None:
    with pytest.raises(UserError, match="tool_search_above is a number of tools, or None"):
        Agent(ScriptedModel([]), tool_search_above=-1)


async def test_a_search_is_a_call_as_any_other() -> None:
    """It may stand beside calls, in several runs of one agent at once, and what it found belongs to its own run."""
    model = ScriptedModel([Reply(calls=[call("add", a=1, b=1), call("search_tools", query="read_file_1", limit=1)]), "done"])
    agent = Agent(model, tools=[add, *many()])
    await agent.run("go")
    other = ScriptedModel(["done"])
    await agent.with_(model=other).run("go")
    assert names(model)[1] == ["add", "search_tools", "read_file_1"]
    assert names(other) == [["add", "search_tools"]]


async def test_a_tool_keeps_its_budget_of_retries_when_it_was_not_told_of() -> None:
    async def stubborn(path: str) -> str:
        raise ModelRetry("not so")

    hidden = tool(stubborn, name="stubborn", deferrable=True, retries=0)
    said = await answers([hidden, add], call("stubborn", path="a"), tool_search_above=1)
    assert "That was the last attempt." in said[0].text


async def test_a_call_that_waits_for_a_person_goes_on_though_its_tool_is_not_told_of() -> None:
    guarded = [t.with_rules(needs_approval=True) for t in many(1)]
    waiting = await Agent(ScriptedModel([call("delete_user_0", path="x")]), tools=guarded).run("go")
    assert waiting.stop_reason == "pending"
    model = ScriptedModel(["done"])
    (call_id,) = [c.id for m in waiting.messages if isinstance(m, AssistantMessage) for c in m.tool_calls]
    result = await Agent(model, tools=guarded).resume(waiting, decisions={call_id: True})
    assert result.messages[-2].text == "acted on x, depth 1"  # type: ignore[union-attr]
    assert names(model) == [["search_tools", "delete_user_0"]]


async def test_arguments_that_are_almost_right_are_mended_for_a_tool_that_was_not_told_of() -> None:
    model = ScriptedModel([ScriptedCall("read_file_7", "{'path': 'a', 'depth': 2,}"), "done"])
    result = await Agent(model, tools=many()).run("go")
    assert result.messages[2].text == "acted on a, depth 2"  # type: ignore[union-attr]


async def test_a_hook_that_takes_away_what_was_found_keeps_it_from_being_loaded() -> None:
    class Redacts(Hooks):
        async def after_tool(self, context: RunContext[Any], call: ToolCall, result: ToolMessage) -> ToolMessage:
            return ToolMessage(result.call_id, result.name, "[not for you]")

    model = ScriptedModel([call("search_tools", query="read_file_7"), "done"])
    await Agent(model, tools=many(), hooks=[Redacts()]).run("go")
    assert names(model) == [["search_tools"], ["search_tools"]]
