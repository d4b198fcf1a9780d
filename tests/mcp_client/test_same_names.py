"""Two MCP servers that nobody gave a name, so that they have the same: which tool runs where."""

import sys
from pathlib import Path

import pytest

from kimi_agent import Agent, MCPServer, MCPServers, ScriptedModel, ToolMessage, call

pytestmark = pytest.mark.anyio
SERVER = """
import sys, mcp.server
server = mcp.server.MCPServer("data")
@server.tool()
def where() -> str:
    return sys.argv[1]
@server.resource("notes://all")
def notes() -> str:
    return "notes of " + sys.argv[1]
server.run("stdio")
"""


@pytest.mark.slow
async def test_each_call_reaches_the_server_that_its_name_says(tmp_path: Path) -> None:
    program = tmp_path / "data.py"
    program.write_text(SERVER)
    first, second = (MCPServer(sys.executable, str(program), place, name="data", resource_tools=True) for place in ("A", "B"))
    model = ScriptedModel([[call("data__where"), call("data_2__where")], "done"])
    async with first, second:
        result = await Agent(model, tools=[MCPServers([first]), second]).run("go")
    assert [m.text for m in result.messages if isinstance(m, ToolMessage)] == ["A", "B"]
    names = [each.name for each in model.requests[0].tools]
    assert len(names) == len(set(names)) == 6, "where, and two tools for resources, of each"


def test_many_servers_are_owners_each() -> None:
    servers = MCPServers([MCPServer("x", "/a/data"), MCPServer("y", "/b/notes")])
    assert list(servers.owners) == list(servers)
    assert list(servers.prefixed("x_").owners) == list(servers)
