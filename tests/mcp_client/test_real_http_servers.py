"""The TypeScript SDK's servers over streamable HTTP and over the SSE transport of 2024-11-05, in an agent."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from peers import Peers, needed

from kimi_agent import Agent, MCPServer, ScriptedModel, ToolEnd, ToolProgress, call

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LOOPBACK = """
import net from "node:net";
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, done) {
  return listen.call(this, 0, "127.0.0.1", function () {
    console.error("here: " + this.address().port);
    done?.call(this);
  });
};
"""  # the server would listen to the whole network, on a port of our choosing
PATHS = {"streamableHttp": "/mcp", "sse": "/sse"}


@pytest.fixture(scope="module")
def peers() -> Peers:
    return needed()


@contextmanager
def serving(peers: Peers, kind: str) -> Iterator[str]:
    node, *rest = peers.everything(kind)
    command = [node, "--import", "data:text/javascript," + quote(LOOPBACK), *rest]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            port = next(found[1] for line in server.stderr if (found := re.match(r"here: (\d+)", line)))
            yield f"http://127.0.0.1:{port}{PATHS[kind]}"
        finally:
            server.kill()


@pytest.mark.parametrize(("kind", "transport"), [("streamableHttp", "http"), ("sse", "sse")])
async def test_a_run(peers: Peers, kind: str, transport: str) -> None:
    model = ScriptedModel([call("get-sum", a=2, b=40), call("trigger-long-running-operation", duration=0.4, steps=2), "It is 42."])
    with serving(peers, kind) as url:
        async with MCPServer(url=url, transport=transport) as server:
            async with Agent(model, tools=[server]).stream("How much?") as stream:
                events = [event async for event in stream]
            assert stream.result.output == "It is 42."
            (template, *_) = await server.resource_templates()
            assert template.uri_template.startswith("demo://")
    total, slow = [event.result for event in events if isinstance(event, ToolEnd)]
    assert "42" in total.text and "completed" in slow.text
    assert [(event.progress, event.total) for event in events if isinstance(event, ToolProgress)] == [(1, 2), (2, 2)]


@pytest.mark.parametrize("kind", PATHS)
async def test_two_runs_at_once_hear_their_own_progress_only(peers: Peers, kind: str) -> None:
    async def progress_of(server: MCPServer, steps: int) -> list[float | None]:
        model = ScriptedModel([call("trigger-long-running-operation", duration=0.6, steps=steps), "Done."])
        async with Agent(model, tools=[server]).stream("Go on.") as stream:
            return [event.total async for event in stream if isinstance(event, ToolProgress)]

    with serving(peers, kind) as url:
        async with MCPServer(url=url, transport="sse" if kind == "sse" else "http") as server, asyncio.TaskGroup() as group:
            two, three = (group.create_task(progress_of(server, steps)) for steps in (2, 3))
    assert (two.result(), three.result()) == ([2, 2], [3, 3, 3])
