"""An agent as one tool: its steps as progress, its answer, how it ends otherwise, and its finished runs as resources."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp_server_clients import DECLINE, MODES, Heard, accept, answering, connected, text_of
from pydantic import BaseModel

from kimi_agent import (
    Agent,
    FunctionModel,
    JsonSchema,
    Limits,
    ModelRequest,
    Reply,
    RunContext,
    ScriptedModel,
    UserMessage,
    call,
    load_messages,
    tool,
)
from kimi_agent.mcp.server.agent_tool import AgentTool
from kimi_agent.mcp.server.service import MCPService

pytestmark = pytest.mark.anyio


@tool
def add(ctx: RunContext, a: int, b: int) -> int:
    """Adds."""
    ctx.report("adding")
    return a + b


def adder(*steps: Any, **options: Any) -> Agent[Any]:
    return Agent(ScriptedModel(list(steps)), tools=[add], name="The adder!", instructions="secret recipe", **options)


SUM = (call("add", a=1, b=2), "It is 3.")


@pytest.mark.parametrize("mode", MODES)
async def test_an_agent_is_a_tool_that_tells_its_steps(mode: str) -> None:
    heard = Heard()
    async with connected(MCPService(adder(*SUM)), mode) as client:
        (listed,) = (await client.list_tools()).tools
        result = await client.call_tool("The_adder", {"prompt": "1 + 2?"}, progress_callback=heard.on_progress)
    assert listed.name == "The_adder" and "secret" not in listed.model_dump_json()
    assert listed.input_schema["required"] == ["prompt"] and listed.output_schema is None
    assert not result.is_error and text_of(result) == "It is 3."
    told = [text for _, _, text in heard.progress]
    assert told[:3] == ["turn 1", "calls add", "adding"] and told[3].startswith("add is done") and told[4] == "turn 2"
    assert [n for n, _, _ in heard.progress] == [0, 1, 2, 3, 4]


class Report(BaseModel):
    total: int


def answers(prompt: str) -> Callable[[ModelRequest], Reply]:
    """A model that answers with how many messages of users it saw."""
    return lambda request: Reply(text=f"{prompt} {sum(isinstance(m, UserMessage) for m in request.messages)}")


@pytest.mark.parametrize(
    ("output", "given", "structured"),
    [
        (Report, {"total": 3}, {"total": 3}),
        (JsonSchema({"type": "array", "items": {"type": "integer"}}), [3], {"result": [3]}),
    ],
)
async def test_a_typed_answer_is_structured_content(output: Any, given: Any, structured: Any) -> None:
    arguments = given if isinstance(given, dict) else {"value": given}
    model = ScriptedModel([Reply(text=json.dumps(given))])
    agent = Agent(model, output=output, name="typed")
    async with connected(MCPService(AgentTool(agent, name="sum", description="Sums up.")), "auto") as client:
        (listed,) = (await client.list_tools()).tools
        assert (listed.name, listed.description) == ("sum", "Sums up.") and listed.output_schema is not None
        result = await client.call_tool("sum", {"prompt": "?"})
    assert arguments and result.structured_content == structured and not result.is_error


def kept(result: types.CallToolResult) -> str:
    (link,) = [b for b in result.content if isinstance(b, types.ResourceLink)]
    return link.uri


@pytest.mark.parametrize("mode", MODES)
async def test_a_finished_run_is_a_resource_and_can_be_gone_on_from(mode: str) -> None:
    agent = Agent(FunctionModel(answers("heard")), name="counter")
    heard = Heard()
    async with connected(MCPService(agent, keep_runs=2), mode, message_handler=heard.on_message) as client:
        first = await client.call_tool("counter", {"prompt": "one"})
        assert mode == "auto" or "notifications/resources/list_changed" in heard.messages
        document = json.loads((await client.read_resource(kept(first))).contents[0].text)  # type: ignore[union-attr]
        assert (document["prompt"], document["output"], document["stop_reason"]) == ("one", "heard 1", "completed")
        assert [type(m).__name__ for m in load_messages(json.dumps(document["messages"]))] == ["UserMessage", "AssistantMessage"]
        assert document["usage"]["requests"] == 1 and document["run_id"].startswith("run_")
        again = await client.call_tool("counter", {"prompt": "two", "continue_run": kept(first)})
        assert text_of(again) == "heard 2"
        third = await client.call_tool("counter", {"prompt": "three", "continue_run": kept(again).rpartition("/")[2]})
        assert text_of(third) == "heard 3"
        listed = (await client.list_resources()).resources
        assert [r.uri for r in listed] == [kept(third), kept(again)] and listed[0].title == "three"  # the oldest is gone
        with pytest.raises(MCPError, match="not found"):
            await client.read_resource(kept(first))
        gone = await client.call_tool("counter", {"prompt": "x", "continue_run": kept(first)})
        assert gone.is_error and "no finished run" in text_of(gone)


async def test_another_client_sees_no_runs_of_this_one() -> None:
    service = MCPService(Agent(FunctionModel(answers("heard")), name="counter"))
    async with connected(service, "auto") as mine, connected(service, "legacy") as other:
        uri = kept(await mine.call_tool("counter", {"prompt": "private"}))
        assert (await other.list_resources()).resources == []
        with pytest.raises(MCPError, match="not found"):
            await other.read_resource(uri)
        stolen = await other.call_tool("counter", {"prompt": "go on", "continue_run": uri})
        assert stolen.is_error and "no finished run" in text_of(stolen)
        assert len((await mine.list_resources()).resources) == 1


async def test_runs_that_are_not_kept_are_not_linked() -> None:
    async with connected(MCPService(adder(*SUM), keep_runs=0), "auto") as client:
        result = await client.call_tool("The_adder", {"prompt": "?"})
        assert [b.type for b in result.content] == ["text"] and (await client.list_resources()).resources == []


async def test_a_run_that_did_not_complete_says_why() -> None:
    cut = adder(call("add", a=1, b=2), call("add", a=1, b=2), limits=Limits(turns=1))
    async with connected(MCPService(cut), "auto") as client:
        result = await client.call_tool("The_adder", {"prompt": "?"})
    assert result.is_error and "stopped before it was done: turns" in text_of(result) and kept(result)


async def test_an_endpoint_that_fails_is_an_error_result() -> None:
    agent = Agent(ScriptedModel([]), name="broken")
    async with connected(MCPService(agent), "auto") as client:
        result = await client.call_tool("broken", {"prompt": "?"})
    assert result.is_error and "script" in text_of(result)


wiped: list[str] = []


@tool(needs_approval=True)
def wipe(disk: str) -> str:
    """Wipes."""
    wiped.append(disk)
    return "wiped"


def wiper() -> Agent[str]:
    return Agent(ScriptedModel([call("wipe", disk="sda"), "Done."]), tools=[wipe], name="wiper")


@pytest.mark.parametrize("mode", MODES)
async def test_calls_that_need_approval_are_the_clients_users_to_decide(mode: str) -> None:
    wiped.clear()
    async with connected(MCPService(wiper()), mode, elicitation_callback=answering(DECLINE)) as client:
        assert text_of(await client.call_tool("wiper", {"prompt": "clean"})) == "Done." and wiped == []
    async with connected(MCPService(wiper()), mode, elicitation_callback=answering(accept(approve=True))) as client:
        assert text_of(await client.call_tool("wiper", {"prompt": "clean"})) == "Done." and wiped == ["sda"]


async def test_a_run_that_nobody_can_approve_is_an_error_and_nothing_is_lost() -> None:
    wiped.clear()
    async with connected(MCPService(wiper()), "legacy") as client:
        result = await client.call_tool("wiper", {"prompt": "clean"})
        assert result.is_error and "wipe must be approved" in text_of(result) and wiped == []
        document = json.loads((await client.read_resource(kept(result))).contents[0].text)  # type: ignore[union-attr]
        assert document["pending"] == [{"name": "wipe", "arguments": '{"disk": "sda"}'}]


async def test_cancelling_the_call_cancels_the_run() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def slow() -> str:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return ""

    agent = Agent(ScriptedModel([call("slow"), "done"]), tools=[slow], name="sleeper")
    async with connected(MCPService(agent), "legacy") as client:
        calling = asyncio.create_task(client.call_tool("sleeper", {"prompt": "?"}))
        await began.wait()
        calling.cancel()
        async with asyncio.timeout(10):
            await ended.wait()
        assert (await client.list_resources()).resources == []


async def test_a_test_may_put_another_model_into_a_served_agent() -> None:
    agent = adder(*SUM)
    service = MCPService(agent, deps={"k": 1})
    with agent.override(model=ScriptedModel(["stand-in"])):
        async with connected(service, "auto") as client:
            assert text_of(await client.call_tool("The_adder", {"prompt": "?"})) == "stand-in"


async def test_an_agent_tool_is_for_clients() -> None:
    outer = Agent(ScriptedModel([call("inner", prompt="x"), "end"]), tools=[AgentTool(Agent(ScriptedModel([]), name="inner"))])
    result = await outer.run("go")
    assert any("MCP client" in getattr(m, "text", "") for m in result.messages)
