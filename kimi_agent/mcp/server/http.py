"""Streamable HTTP, for clients of both eras: on a port of its own, or as an application in somebody's server."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypedDict

import anyio
import uvicorn
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE

from kimi_agent.errors import UserError
from kimi_agent.mcp.server.connections import GuardedProtocol
from kimi_agent.mcp.server.guard import AddressGuard, StreamWatch, TokenGuard, check_exposure, refuse, security_of
from kimi_agent.mcp.server.handlers import ServedServer
from kimi_agent.mcp.server.replay import Sessions
from kimi_agent.redact import register_secret

_CLOSING = 5  # seconds that open connections have when the server ends
_BACKLOG = 128  # connections that are taken in one go, before the first of them is looked at
_LAST_WORDS = 1.0  # seconds in which calls that were cancelled are answered


class HTTPOptions(TypedDict, total=False):
    """How HTTP is served.

    Attributes:
        host: address to listen on; by default 127.0.0.1. Another than this machine's own needs `allowed_hosts`, and `token` or
            `insecure=True`.
        port: 8765 by default; 0: one that is free.
        path: of the endpoint; by default /mcp.
        token: what clients send as `Authorization: Bearer …`.
        allowed_hosts: Host headers that are let in besides this machine's own names; "name:*" is any port.
        allowed_origins: Origin headers (web pages) that are let in besides those of this machine.
        insecure: lets a server without a token be reached by others.
        max_body: bytes of a request; by default 4 MiB.
        resumable: whether a stream that broke off can be taken up again (handshake era).
        retry_ms: milliseconds after which clients of such streams come back.
        ready: called with the URL once the server takes requests.
    """

    host: str
    port: int
    path: str
    token: str | None
    allowed_hosts: Iterable[str]
    allowed_origins: Iterable[str]
    insecure: bool
    max_body: int
    resumable: bool
    retry_ms: int | None
    ready: Callable[[str], object] | None


class _Server(uvicorn.Server):
    """uvicorn, without its hands on the signals of the process, which are its owner's."""

    started_up: Callable[[], object]

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """None."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says when requests are taken."""
        await super().startup(sockets)
        self.started_up()


class _Endpoint:
    """Serves one path, while it is open."""

    def __init__(self, app: Any, path: str) -> None:
        self._app, self._path = app, path
        self.is_open = True
        self._posts = 0
        self._none_left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].rstrip("/") != self._path.rstrip("/"):
            await refuse(send, 404, f"The MCP endpoint is {self._path}\n".encode())
        elif not self.is_open:
            await refuse(send, 503, b"The server is shutting down.\n")
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _post(self, scope: Any, receive: Any, send: Any) -> None:
        self._posts += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._posts -= 1
            self._none_left.set()

    async def emptied(self) -> None:
        """Waits a moment for the last answers."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                while self._posts:
                    self._none_left.clear()
                    await self._none_left.wait()


@asynccontextmanager
async def application(server: ServedServer, options: HTTPOptions) -> AsyncGenerator[Any]:
    """An ASGI application that answers on every path; sessions live as long as the block. Raises UserError."""
    if unknown := sorted(set(options) - set(HTTPOptions.__annotations__)):
        raise UserError(f"there is no option {', '.join(unknown)}; there are {', '.join(HTTPOptions.__annotations__)}")
    token = options.get("token")
    register_secret(token)
    allowed = security_of(options.get("host", "127.0.0.1"), options.get("allowed_hosts", ()), options.get("allowed_origins", ()))
    sessions = Sessions(
        server,
        resumable=options.get("resumable", False),
        retry_interval=options.get("retry_ms"),
        max_request_body_size=options.get("max_body", DEFAULT_MAX_REQUEST_BODY_SIZE),
        security_settings=allowed,
    )
    async with sessions.run():
        # a client may come back to a stream that can be taken up again
        watched = sessions.handle_request if options.get("resumable", False) else StreamWatch(sessions.handle_request)
        yield AddressGuard(watched if token is None else TokenGuard(watched, token), allowed)


async def serve(server: ServedServer, options: HTTPOptions) -> None:
    """Serves until it is cancelled; then what runs is cancelled, and no socket is left. Raises UserError and OSError."""
    host, path, ready = options.get("host", "127.0.0.1"), options.get("path", "/mcp"), options.get("ready")
    check_exposure(host, options.get("token"), insecure=options.get("insecure", False))
    if not path.startswith("/"):
        raise UserError(f"path= begins with a slash: '/{path}'")
    ours: _Server | None = None
    running: asyncio.Task[None] | None = None
    with contextlib.closing(_listening(host, options.get("port", 8765))) as listener:
        try:
            async with application(server, options) as app:
                endpoint = _Endpoint(app, path)
                ours = _Server(_config(endpoint))
                ours.started_up = lambda: ready(_url(listener, path)) if ready is not None else None
                running = asyncio.create_task(ours.serve([listener]))
                try:
                    await asyncio.shield(running)
                finally:
                    ours.should_exit, endpoint.is_open = True, False
                    with anyio.CancelScope(shield=True):
                        for serving in server.servings:
                            await serving.hang_up()
                        await endpoint.emptied()
        finally:
            if running is not None:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([running])


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        backlog=_BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_CLOSING,
    )


def _listening(host: str, port: int) -> socket.socket:
    """Raises UserError for an address that is none, and OSError for a port that is taken."""
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, OverflowError) as e:
        raise UserError(f"cannot listen on {host}:{port}: {e}") from e
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once only where it says TCP
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket, path: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
