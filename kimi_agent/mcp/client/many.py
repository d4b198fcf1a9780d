"""`mcp_servers`: all servers of a configuration file as one toolset."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kimi_agent.background import background_loop
from kimi_agent.errors import UserError
from kimi_agent.mcp.client.config import ServerConfig, read_config
from kimi_agent.mcp.client.server import MCPServer
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.toolset import Toolset, asked_together


class MCPServers(Toolset):
    """Several servers as one toolset; they start side by side.

    Attributes:
        servers: by name, in their order.
    """

    slow = True

    def __init__(self, servers: Iterable[MCPServer]) -> None:
        """Raises UserError where two have one name."""
        self.servers: dict[str, MCPServer] = {}
        for server in servers:
            if self.servers.setdefault(server.name, server) is not server:
                raise UserError(f"two MCP servers are named {server.name!r}: give one another name=")

    def __iter__(self) -> Iterator[MCPServer]:
        return iter(self.servers.values())

    def __len__(self) -> int:
        return len(self.servers)

    def __getitem__(self, name: str) -> MCPServer:
        return self.servers[name]

    @property
    def owners(self) -> Sequence[MCPServer]:
        """Its servers."""
        return tuple(self)

    async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
        """Those of all servers. Names that two of them have are told apart by the agent."""
        answers = await asked_together(self, context)
        return [tool for server in self for tool in answers[id(server)]]

    async def connect(self) -> dict[str, BaseException | None]:
        """Starts all, side by side; by name, what failed, or None."""
        async with asyncio.TaskGroup() as group:
            tasks = {server.name: group.create_task(_attempt(server)) for server in self}
        return {name: task.result() for name, task in tasks.items()}

    async def aclose(self) -> None:
        """Ends all, side by side."""
        async with asyncio.TaskGroup() as group:
            for server in self:
                group.create_task(server.aclose())

    def close(self) -> None:
        """As `aclose`, for code that is not async: what `run_sync` has started."""
        background_loop().run(self.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()


async def _attempt(server: MCPServer) -> BaseException | None:
    try:
        await server.connect()
    except Exception as e:
        return e
    return None


def mcp_servers(config: str | Path | Mapping[str, Any], *, only: Iterable[str] | None = None, **overrides: Any) -> MCPServers:
    """The servers of a file as Claude Desktop, Cursor and Kimi CLI have it: `{"mcpServers": {"name": {"command": …}}}`.

    Args:
        config: the file, or what stands in it.
        only: names of the servers that are wanted; None: all that are not disabled.
        **overrides: options of `MCPServer` that hold for all, over what the file says: `needs_approval=True`.

    Raises:
        UserError: the file, or an entry of it, is not one; the text says where.
    """
    found = read_config(config)
    wanted = list(only) if only is not None else [name for name, server in found.items() if not server.disabled]
    if unknown := [name for name in wanted if name not in found]:
        raise UserError(f"the configuration has no MCP server {unknown[0]!r}; it has {', '.join(found) or 'none'}")
    return MCPServers(_made(name, found[name], overrides) for name in wanted)


def _made(name: str, config: ServerConfig, overrides: Mapping[str, Any]) -> MCPServer:
    options: dict[str, Any] = {"name": name, **config.options, **overrides}
    return MCPServer(*config.command_line, **options)
