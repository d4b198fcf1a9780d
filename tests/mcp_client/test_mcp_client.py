"""An MCP server's tools in an agent, against a real server on the official SDK; mostly over HTTP: one process for all tests."""

import asyncio
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small as servers
from small import small_over_http

from kimi_agent import (
    Agent,
    AssistantMessage,
    Elicitation,
    File,
    FunctionModel,
    Image,
    Limits,
    MCPServer,
    MCPServerError,
    MCPTool,
    ModelRequest,
    RunResult,
    SamplingRequest,
    ScriptedModel,
    Text,
    ToolLog,
    ToolMessage,
    ToolProgress,
    UserError,
    UserMessage,
    call,
)

pytestmark = pytest.mark.anyio


_url: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    with small_over_http() as url:
        _url[:] = [url]
        yield


def small(**options: Any) -> MCPServer:
    return MCPServer(url=_url[0], **{"name": "small", **options})


def result_of(result: RunResult[Any], name: str) -> ToolMessage:
    return next(m for m in result.messages if isinstance(m, ToolMessage) and m.name == name)


async def called(server: MCPServer, name: str, *, limits: Limits | None = None, **arguments: Any) -> ToolMessage:
    """What a model sees of one call."""
    async with server:
        agent = Agent(ScriptedModel([[call(name, **arguments)], "done"]), tools=[server], limits=limits or Limits())
        return result_of(await agent.run("go"), name)


# ── tools ──


@pytest.mark.parametrize("start", [servers.small, lambda: small()], ids=["stdio", "http"])
async def test_a_call_goes_through_an_agent_and_back(start: Any) -> None:
    async with start() as server:
        model = ScriptedModel([[call("add", a=2, b=3)], "It is 5."])
        result = await Agent(model, tools=[server]).run("2 + 3?")
    assert result.output == "It is 5."
    assert result_of(result, "add").text == "5"
    told = next(t for t in model.requests[0].tools if t.name == "add")
    assert told.description == "Adds two numbers."
    assert told.parameters["required"] == ["a", "b"]


async def test_arguments_are_checked_before_the_server_sees_them() -> None:
    answer = await called(small(), "add", a="two")
    assert answer.is_error
    assert "Invalid arguments for add" in answer.text
    assert "'b' is a required property" in answer.text


async def test_a_failing_tool_is_an_error_result() -> None:
    answer = await called(small(), "fail")
    assert answer.is_error
    assert "fail" in answer.text


async def test_all_kinds_of_content_come_through() -> None:
    answer = await called(small(), "picture")
    look, image, sound, link, notes = answer.content
    assert look == Text("look")
    assert isinstance(image, Image) and image.data is not None and image.data.startswith(b"\x89PNG")
    assert isinstance(sound, File) and (sound.data, sound.media_type) == (b"RIFF", "audio/wav")
    assert isinstance(link, Text) and "notes://all" in link.text and "all of them" in link.text
    assert notes == Text("[notes://1]\nmilk")


async def test_structured_content_is_the_value() -> None:
    async with small() as server:
        result = await server.call("weather", {"city": "Beijing"})
    assert result.value == {"city": "Beijing", "degrees": 21.5}


async def test_a_name_that_no_model_may_call_is_mapped_and_mapped_back() -> None:
    async with small() as server:
        tool = next(t for t in await server.list_tools() if t.original.startswith("mit "))
        assert tool.name.startswith("mit_Leerzeichen_und_Strich_")
        agent = Agent(ScriptedModel([[call(tool.name)], "done"]), tools=[server])
        assert result_of(await agent.run("go"), tool.name).text == "called"


async def test_filters() -> None:
    async with small(allow=["add", "w*"], deny=["where"]) as server:
        assert [t.name for t in await server.list_tools()] == ["add", "weather"]
    async with small(keep=lambda t: isinstance(t, MCPTool) and bool(t.annotations.get("read_only_hint"))) as server:
        (tool,) = await server.list_tools()
        assert (tool.name, tool.title) == ("weather", "The weather")


async def test_a_tool_that_was_filtered_out_cannot_be_called_by_the_model() -> None:
    answer = await called(small(deny=["add"]), "add", a=1, b=2)
    assert answer.is_error and "There is no tool named 'add'" in answer.text


async def test_a_prefix_stands_before_all_names() -> None:
    async with small(prefix="s_", allow=["add"]) as server:
        assert [t.name for t in await server.list_tools()] == ["s_add"]
        assert (await server.call("add", {"a": 1, "b": 1})).value == {"result": 2}  # the server's own name


async def test_two_servers_with_the_same_tools_go_by_their_names() -> None:
    async with small(name="one", allow=["add"]) as one, small(name="two", allow=["add"]) as two:
        model = ScriptedModel([[call("one__add", a=1, b=1), call("two__add", a=2, b=2)], "done"])
        result = await Agent(model, tools=[one, two]).run("go")
    assert [t.name for t in model.requests[0].tools] == ["one__add", "two__add"]
    assert [m.text for m in result.messages if isinstance(m, ToolMessage)] == ["2", "4"]


async def test_approval_is_asked_as_for_any_tool() -> None:
    async with small(needs_approval=True) as server:
        result = await Agent(ScriptedModel([[call("add", a=1, b=1)]]), tools=[server]).run("go")
    assert result.stop_reason == "pending"


async def test_a_changed_list_takes_effect_at_the_next_turn() -> None:
    async with servers.small(allow=["grow", "grown"]) as server:  # one of its own: it will not be the same again
        model = ScriptedModel([[call("grow")], [call("grown")], "done"])
        result = await Agent(model, tools=[server]).run("go")
    assert [[t.name for t in request.tools] for request in model.requests[:2]] == [["grow"], ["grow", "grown"]]
    assert result_of(result, "grown").text == "big"


async def test_the_list_is_fetched_once_and_the_tools_stay_the_same_objects() -> None:
    async with small() as server:
        first = await server.list_tools()
        assert all(a is b for a, b in zip(first, await server.list_tools(), strict=True))


async def test_progress_and_log_messages_become_events_of_the_run() -> None:
    async with small() as server:
        agent = Agent(ScriptedModel([[call("long_way", steps=2)], "done"]), tools=[server])
        events = [event async for event in agent.stream("go")]
    steps = [e for e in events if isinstance(e, ToolProgress)]
    assert [(e.text, e.progress, e.total) for e in steps] == [("step 1", 1, 2), ("step 2", 2, 2)]
    logs = [e for e in events if isinstance(e, ToolLog)]
    assert [(e.level, e.text, e.source) for e in logs] == [("warning", "at 1", "small/road"), ("warning", "at 2", "small/road")]
    assert {e.call_id for e in logs} == {e.call_id for e in steps}


async def test_log_messages_below_the_level_do_not_come() -> None:
    async with small(log_level="error") as server:
        agent = Agent(ScriptedModel([[call("long_way", steps=2)], "done"]), tools=[server])
        assert not [event async for event in agent.stream("go") if isinstance(event, ToolLog)]


# ── resources and prompts ──


async def test_resources_and_prompts_can_be_reached() -> None:
    async with small() as server:
        assert {r.uri for r in await server.resources()} == {"notes://all", "pixel://one"}
        assert [t.uri_template for t in await server.resource_templates()] == ["notes://{number}"]
        (notes,) = await server.read_resource("notes://all")
        assert isinstance(notes, File) and notes.data == b"milk\nbread"
        (pixel,) = await server.read_resource("pixel://one")
        assert isinstance(pixel, Image)
        assert [p.name for p in await server.prompts()] == ["review"]
        assert await server.prompt("review", {"path": "a.py"}) == (UserMessage("Review a.py."), AssistantMessage("Gladly."))
        assert await server.instructions() == "Add with add."
        with pytest.raises(MCPServerError, match="small"):
            await server.read_resource("nowhere://")


async def test_the_model_can_read_resources_where_that_is_switched_on() -> None:
    async with small(allow=[], resource_tools=True) as server:
        turns = [[call("small__list_resources")], [call("small__read_resource", uri="notes://7")], "done"]
        model = ScriptedModel(turns)
        result = await Agent(model, tools=[server]).run("go")
    assert "notes://all" in result_of(result, "small__list_resources").text
    assert result_of(result, "small__read_resource").text == "note 7"


# ── what a server asks ──


async def test_elicitation_asks_the_callback_and_fills_in_defaults() -> None:
    asked: list[Elicitation] = []

    async def answer(question: Elicitation) -> dict[str, Any]:
        asked.append(question)
        return {"name": "Ada"}

    said = await called(small(elicit=answer), "name_of_user")
    assert (asked[0].server, asked[0].message, asked[0].mode) == ("small", "Who are you?", "form")
    assert '"accept"' in said.text and '"Ada"' in said.text and '"age":7' in said.text


@pytest.mark.parametrize(
    ("answer", "action"), [(False, "decline"), (None, "cancel"), ({"name": 3}, "cancel"), ({"age": 3}, "cancel")]
)
async def test_a_declined_or_unfit_answer_is_none(answer: Any, action: str) -> None:
    async def say(question: Elicitation) -> Any:
        return answer

    assert f'"action":"{action}"' in (await called(small(elicit=say), "name_of_user")).text


async def test_without_a_callback_the_server_may_not_ask() -> None:
    answer = await called(small(), "name_of_user")
    assert answer.is_error and "Elicitation not supported" in answer.text


async def test_sampling_is_off() -> None:
    answer = await called(small(), "think", question="?")
    assert answer.is_error and "not supported" in answer.text


async def test_sampling_asks_the_runs_model_without_its_history_or_tools_and_is_counted() -> None:
    requests: list[ModelRequest] = []

    def model(request: ModelRequest) -> Any:
        requests.append(request)
        return {0: [call("think", question="Why?")], 1: "Because.", 2: "done"}[len(requests) - 1]

    async with small(sampling=True) as server:
        agent = Agent(FunctionModel(model), tools=[server], instructions="Secret.")
        result = await agent.run("private words")
    assert result_of(result, "think").text == "it thinks: Because."
    aside = requests[1]
    assert aside.tools == ()
    assert "private" not in str(aside.messages) and "Secret" not in str(aside.messages)
    assert aside.messages[-1] == UserMessage("Why?")
    assert aside.settings.max_tokens == 50
    assert result.usage.requests == 3


async def test_sampling_stops_at_the_runs_limits() -> None:
    async with small(sampling=True) as server:
        agent = Agent(ScriptedModel([[call("think", question="?")], "never said"]), tools=[server], limits=Limits(turns=1))
        result = await agent.run("go")
    answer = result_of(result, "think")
    assert answer.is_error and "limit" in answer.text
    assert result.stop_reason == "turns"


async def test_sampling_can_be_answered_by_a_callback() -> None:
    asked: list[SamplingRequest] = []

    async def answer(request: SamplingRequest) -> str | None:
        asked.append(request)
        return "42" if "meaning" in str(request.messages) else None

    said = await called(small(sampling=answer), "think", question="the meaning")
    assert said.text == "it thinks: 42"
    assert (asked[0].server, asked[0].instructions, asked[0].settings.max_tokens) == ("small", "Think.", 50)
    refused = await called(small(sampling=answer), "think", question="?")
    assert refused.is_error and "rejected" in refused.text


async def test_a_request_that_belongs_to_no_run_goes_to_the_servers_own_model_or_is_refused() -> None:
    async with small(sampling=True) as server:
        with pytest.raises(MCPServerError, match="belongs to none"):
            await server.call("think", {"question": "?"})
    async with small(sampling=True, sampling_model=ScriptedModel(["mine"])) as server:
        assert (await server.call("think", {"question": "?"})).content == [Text("it thinks: mine")]


async def test_only_a_sampling_model_answers_where_the_runs_own_is_not_allowed() -> None:
    said = await called(small(sampling_model=ScriptedModel(["mine"])), "think", question="?")
    assert said.text == "it thinks: mine"


async def test_roots_are_those_that_were_given(tmp_path: Any) -> None:
    assert (await called(small(roots=[tmp_path]), "where")).text == tmp_path.as_uri()


# ── life ──


async def test_it_starts_when_it_is_needed_and_serves_all_runs() -> None:
    server = small()
    assert server.status.state == "idle"
    agent = Agent(ScriptedModel([[call("add", a=1, b=1)], "2", [call("add", a=2, b=2)], "4"]), tools=[server])
    try:
        assert (await agent.run("go")).output == "2"
        assert (await agent.run("go")).output == "4"
        status = server.status
        assert (status.state, status.server_name, status.server_version, status.restarts) == ("ready", "small", "1.2.3", 0)
    finally:
        await server.aclose()
    assert server.status.state == "idle"


async def test_servers_start_side_by_side() -> None:
    async with small(name="one") as one, small(name="two") as two:
        assert (one.status.state, two.status.state) == ("ready", "ready")
        tools = await asyncio.gather(one.list_tools(), two.list_tools())
    assert len(tools[0]) == len(tools[1])


async def test_a_bad_server_is_one_warning_and_its_tools_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    bad = MCPServer("no-such-program-anywhere", name="bad")
    async with small(allow=["add"]) as server:
        model = ScriptedModel([[call("add", a=1, b=1)], [call("add", a=2, b=1)], "done"])
        with caplog.at_level(logging.WARNING, "kimi_agent"):
            result = await Agent(model, tools=[bad, server]).run("go")
    assert result.output == "done"
    assert [t.name for t in model.requests[0].tools] == ["add"]
    warnings = [r.getMessage() for r in caplog.records if "bad" in r.getMessage()]
    assert len(warnings) == 1 and "there is no program 'no-such-program-anywhere'" in warnings[0]


async def test_a_required_server_that_cannot_be_had_ends_the_run() -> None:
    bad = MCPServer("no-such-program-anywhere", name="bad", required=True)
    with pytest.raises(MCPServerError, match="no program"):
        await Agent(ScriptedModel(["never"]), tools=[bad]).run("go")


def test_it_ends_with_the_loop() -> None:
    server = servers.small()
    agent = Agent(ScriptedModel([[call("add", a=1, b=1)], "2"]), tools=[server])
    assert asyncio.run(agent.run("go")).output == "2"
    assert asyncio.run(_state(server)) == "idle"


async def _state(server: MCPServer) -> str:
    return server.status.state


@pytest.mark.parametrize(
    ("words", "options", "problem"),
    [
        ([], {}, "needs a command or a url"),
        (["npx -y server"], {}, r"MCPServer\('npx', '-y', 'server'\)"),
        (["http://127.0.0.1/mcp"], {}, "url="),
        (["npx"], {"url": "http://127.0.0.1/mcp"}, "not both"),
        ([], {"url": "127.0.0.1/mcp"}, "begins with http"),
        (["npx"], {"transport": "http"}, "a command speaks 'stdio'"),
        (["npx"], {"allow": "add"}, r"allow=\['add'\]"),
        (["npx"], {"timeout": 0}, "above 0"),
    ],
)
def test_what_makes_no_server_is_refused(words: list[str], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        MCPServer(*words, **options)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["npx", "-y", "@modelcontextprotocol/server-filesystem"], "filesystem"),
        (["uvx", "mcp-server-time"], "time"),
        (["python", "tools/notes.py"], "notes"),
        (["node", "/opt/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "stdio"], "everything"),
    ],
)
def test_a_server_without_a_name_gets_one(words: list[str], name: str) -> None:
    assert MCPServer(*words).name == name


def test_a_server_behind_a_url_is_named_by_its_host() -> None:
    assert MCPServer(url="https://mcp.example.com/mcp").name == "mcp_example_com"


def test_secrets_are_not_shown() -> None:
    server = MCPServer("npx", env={"API_TOKEN": "hunter2hunter2"}, name="x")
    assert "hunter2" not in f"{server!r} {server.options!r}"


def test_every_knob_stands_in_the_docs_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
    knobs = page.partition("## Knobs")[2]
    for name, parameter in inspect.signature(MCPServer).parameters.items():
        assert f"`{name}`" in page or f"{name}=" in page or name == "command", name
        if name in ("start_timeout", "log_level") or isinstance(parameter.default, bool):
            row = next((line for line in knobs.splitlines() if line.startswith("| ") and f"`{name}`" in line), None)
            if name == "sampling":
                continue  # the row says "none" for several
            shown = f"{parameter.default:g}" if isinstance(parameter.default, float) else f"{parameter.default!r}".replace("'", '"')
            assert row is not None and shown in row, f"{name}: {row}"


async def test_the_runs_own_clock_leaves_room_for_a_ping_and_a_start() -> None:
    async with small(timeout=5, start_timeout=20, ping_timeout=50, allow=["add"]) as server:
        (tool,) = await server.list_tools()
    assert tool.rules.timeout == 75
