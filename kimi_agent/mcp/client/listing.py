"""A server's lists, page by page, and not for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import mcp_types as types
from mcp import Client

from kimi_agent.redact import get_logger

log = get_logger(__name__)
_MOST_PAGES = 200
LIST_TIMEOUT = 30.0  # seconds for a whole list
_Page = TypeVar("_Page", bound=types.PaginatedResult)


async def pages(fetch: Callable[..., Awaitable[_Page]]) -> list[_Page]:
    """All pages of a list. One whose cursors lead nowhere new ends there, with a warning. Raises TimeoutError, MCPError."""
    found: list[_Page] = []
    cursors: set[str] = set()
    cursor: str | None = None
    async with asyncio.timeout(LIST_TIMEOUT):
        while True:
            page = await fetch(cursor=cursor)
            found.append(page)
            cursor = page.next_cursor
            if not cursor:
                return found
            if cursor in cursors or len(found) == _MOST_PAGES:
                log.warning("an MCP server's list does not end: %d pages of it are taken", len(found))
                return found
            cursors.add(cursor)


class ToolList:
    """The tools of one connection, fetched when they are first wanted, and again when the server says that they have changed."""

    def __init__(self) -> None:
        self._tools: tuple[types.Tool, ...] | None = None
        self._version = 0
        self._fetched = -1
        self._expires: float | None = None
        self._fetching: asyncio.Lock = asyncio.Lock()

    @property
    def known(self) -> tuple[types.Tool, ...] | None:
        """What was fetched last, current or not."""
        return self._tools

    @property
    def current(self) -> bool:
        """Whether nothing has changed since it was fetched."""
        return self._fetched == self._version and (self._expires is None or time.monotonic() < self._expires)

    def changed(self) -> None:
        """The server says so, or is another."""
        self._version += 1

    async def fetch(self, client: Client) -> tuple[types.Tool, ...]:
        """The list. A change while it is fetched has it fetched again the next time. Raises TimeoutError, MCPError."""
        async with self._fetching:
            if self.current and self._tools is not None:
                return self._tools
            version = self._version
            found = await pages(client.list_tools) if _has_tools(client) else []
            self._tools = _unique(tool for page in found for tool in page.tools)
            ttl = found[0].ttl_ms if found and not _tells_of_changes(client) else None
            self._fetched, self._expires = version, None if ttl is None else time.monotonic() + ttl / 1000
            return self._tools


def _has_tools(client: Client) -> bool:
    return client.server_capabilities.tools is not None


def _tells_of_changes(client: Client) -> bool:
    tools = client.server_capabilities.tools
    return tools is not None and bool(tools.list_changed)


def _unique(tools: Any) -> tuple[types.Tool, ...]:
    """Of several with one name the first."""
    found: dict[str, types.Tool] = {}
    for tool in tools:
        if found.setdefault(tool.name, tool) is not tool:
            log.warning("an MCP server has two tools named %r: the first is taken", tool.name)
    return tuple(found.values())
