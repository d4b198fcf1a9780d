"""`kimi-agent mcp`: each command in a module of its own."""

import typer

from kimi_agent.cli.mcp.call import call
from kimi_agent.cli.mcp.doctor import doctor
from kimi_agent.cli.mcp.edit import add, remove
from kimi_agent.cli.mcp.lists import list_servers
from kimi_agent.cli.mcp.serve import serve

mcp = typer.Typer(name="mcp", help="MCP servers: configure, look at, call and serve them.", no_args_is_help=True)
mcp.command(name="list")(list_servers)
mcp.command()(call)
mcp.command()(add)
mcp.command()(remove)
mcp.command()(doctor)
mcp.command()(serve)
