"""`examples/mcp_bridge.py`: an agent over two real servers, itself served to a third client."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback import Loopback, serving
from mcp import Client, StdioServerParameters
from peers import Peers, needed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
BRIDGE = Path(__file__).parents[2] / "examples" / "mcp_bridge.py"


@pytest.fixture(scope="module")
def peers() -> Peers:
    return needed()


def _whole(message: dict[str, Any]) -> web.Response:
    reason = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "delta": {"role": "assistant", **message}, "finish_reason": reason}
    chunk = json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "kimi-k2.6", "choices": [choice]})
    return web.Response(body=f"data: {chunk}\n\ndata: [DONE]\n\n", content_type="text/event-stream")


def _calls(*calls: tuple[str, dict[str, Any]]) -> web.Response:
    made = [
        {"index": i, "id": f"{name}:{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, (name, arguments) in enumerate(calls)
    ]
    return _whole({"tool_calls": made})


def _environment(model: Loopback) -> dict[str, str]:
    return {"KIMI_BASE_URL": model.url, "KIMI_API_KEY": "sk-bridge-0123456789", "KIMI_MODEL_NAME": "kimi-k2.6"}


async def test_a_third_client_asks_the_agent_that_asks_two_servers(peers: Peers, tmp_path: Path) -> None:
    (tmp_path / "plan.txt").write_text("Meet at the station at nine.", encoding="utf-8")

    async def model(request: web.Request, number: int) -> web.StreamResponse:
        if number == 0:
            wanted = ("get_current_time", {"timezone": "Asia/Shanghai"}), ("read_text_file", {"path": str(tmp_path / "plan.txt")})
            return _calls(*wanted)
        messages = (await request.json())["messages"]
        return _whole({"content": " / ".join(str(m["content"]) for m in messages if m["role"] == "tool")})

    steps: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async with serving(model) as endpoint:
        command = [str(BRIDGE), "--time", shlex.join(peers.time()), "--files", shlex.join(peers.filesystem(tmp_path))]
        started = StdioServerParameters(command=sys.executable, args=command, env=_environment(endpoint))
        async with Client(started) as client:
            (tool,) = (await client.list_tools()).tools
            answer = await client.call_tool("clerk", {"prompt": "When do we meet?"}, progress_callback=on_progress)
            (run,) = (await client.list_resources()).resources
            kept = json.loads((await client.read_resource(str(run.uri))).contents[0].text)  # type: ignore[union-attr]

    assert (tool.name, tool.description) == ("clerk", "Answers questions about the files of this directory and the time.")
    text = answer.content[0].text  # type: ignore[union-attr]
    assert not answer.is_error
    assert "Meet at the station at nine." in text and "Asia/Shanghai" in text
    assert any("get_current_time" in step for step in steps) and any("read_text_file" in step for step in steps)
    assert kept["stop_reason"] == "completed" and kept["prompt"] == "When do we meet?"
    offered = {t["function"]["name"] for t in endpoint.bodies[0]["tools"]}
    assert "write_file" not in offered  # the bridge lets no client write
    assert offered >= {"get_current_time", "convert_time", "read_text_file", "list_directory"}


async def test_one_of_its_servers_is_missing_and_it_goes_on(peers: Peers, tmp_path: Path) -> None:
    async def model(request: web.Request, number: int) -> web.StreamResponse:
        return _calls(("get_current_time", {"timezone": "UTC"})) if number == 0 else _whole({"content": "It is late."})

    async with serving(model) as endpoint:
        command = [str(BRIDGE), "--time", shlex.join(peers.time()), "--files", "no-such-program-anywhere"]
        started = StdioServerParameters(command=sys.executable, args=command, env=_environment(endpoint))
        async with Client(started) as client:
            answer = await client.call_tool("clerk", {"prompt": "How late is it?"})
    assert not answer.is_error and answer.content[0].text == "It is late."  # type: ignore[union-attr]
    assert {t["function"]["name"] for t in endpoint.bodies[0]["tools"]} == {"get_current_time", "convert_time"}
