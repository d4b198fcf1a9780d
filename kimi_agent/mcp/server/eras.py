"""The two eras of the protocol, as far as handlers must know them, and who a request comes from.

In the handshake era (up to 2025-11-25) a session is opened, and the server may ask its client in mid-call. In the modern era
(2026-07-28) each request stands alone, and a server that needs something answers with what it needs.
"""

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from kimi_agent.mcp.server.serving import Serving

Request: TypeAlias = "ServerRequestContext[Serving, Any]"
SESSION_HEADER = "mcp-session-id"


def is_modern(request: Request) -> bool:
    """Whether the request belongs to an era in which the server cannot ask in mid-call."""
    return request.protocol_version in MODERN_PROTOCOL_VERSIONS


def session_of(request: Request) -> str:
    """The name of the session; "" where a connection is all that there is, or where there are none."""
    if request.request is None or is_modern(request):  # a modern request's header would be the client's own invention
        return ""
    return request.request.headers.get(SESSION_HEADER, "")


def connection_of(request: Request) -> str | None:
    """The name of what the client and the server have in common beyond this request: a connection over pipes or in process, or a
    session, whose name only its client knows; None in the modern era over HTTP, which has neither."""
    return request.lifespan_context.name if request.request is None else session_of(request) or None


def owner_of(request: Request) -> str | None:
    """Who may see what this request leaves behind: its connection; where there is none, everyone who has the server's token; None
    where nothing tells one client from another."""
    if (connection := connection_of(request)) is not None:
        return connection
    assert request.request is not None
    return "token" if request.request.scope.get(TOKEN_CHECKED) else None


def source_of(request: Request) -> str:
    """Who a request is counted for, where one client must not take what is there for all: its connection, else its address."""
    if (connection := connection_of(request)) is not None:
        return connection
    assert request.request is not None
    return "" if request.request.client is None else request.request.client.host


def stream_of(request: Request) -> asyncio.Event | None:
    """Set once the stream on which this request's client waits has ended; None where that is not known, or where the client may
    come back to it."""
    return None if request.request is None else request.request.scope.get(STREAM_ENDED)


TOKEN_CHECKED = "kimi_agent.token_checked"
STREAM_ENDED = "kimi_agent.stream_ended"
