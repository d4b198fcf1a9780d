"""A bridge: an agent over two MCP servers, which is itself an MCP server. Any MCP client gets one tool, `clerk`.

python examples/mcp_bridge.py                                    # over stdio: what a client's configuration starts
python examples/mcp_bridge.py --port 8765                        # over HTTP, on this machine only
python examples/mcp_bridge.py --time "…" --files "…"             # other commands for the two servers
"""

import argparse
import shlex

from kimi_agent import Agent, AgentTool, Limits, MCPServer, MCPService, serve_mcp

TIME = "uvx mcp-server-time"
FILES = "npx -y @modelcontextprotocol/server-filesystem ."


def clerk(time: str = TIME, files: str = FILES) -> Agent:
    """An agent that knows what time it is and can read the files of a directory, and can do nothing else."""
    return Agent(
        name="clerk",
        instructions="You keep the files of this directory. Look instead of guessing, and answer in one or two sentences.",
        tools=[
            MCPServer(*shlex.split(time), name="time"),
            MCPServer(*shlex.split(files), name="files", allow=["read_*", "list_*", "search_files"]),
        ],
        limits=Limits(turns=20, wall_clock=300),
    )


def service(agent: Agent) -> MCPService:
    """The agent as a server: each step of a run is a progress message, each finished run a resource."""
    return MCPService(
        AgentTool(agent, description="Answers questions about the files of this directory and the time."), name="bridge"
    )


def main() -> None:
    """Serves until the client goes away, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", default=TIME, help="command of the server that knows the time")
    parser.add_argument("--files", default=FILES, help="command of the server that reads files")
    parser.add_argument("--port", type=int, help="serve over HTTP on this port")
    given = parser.parse_args()
    bridge = service(clerk(given.time, given.files))
    if given.port is None:
        serve_mcp(bridge)
    else:
        serve_mcp(bridge, transport="http", port=given.port)


if __name__ == "__main__":
    main()
