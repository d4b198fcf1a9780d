"""Who may reach an HTTP server: the bearer token, the Host and the Origin that are let in, and what is not safe to ask for."""

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from mcp.server.transport_security import TransportSecuritySettings

from kimi_agent.errors import UserError
from kimi_agent.mcp.server.eras import STREAM_ENDED, TOKEN_CHECKED

_SHORTEST_TOKEN = 16
_NAME = rb"(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?"
_HOST = re.compile(_NAME)
_ORIGIN = re.compile(rb"[a-z][a-z\d+.-]*://" + _NAME)


class AddressGuard:
    """Keeps out Host and Origin headers that are no plain `name:port`, before they are compared with those that are let in: these
    are compared by how they begin, and `127.0.0.1:80@evil.example` begins well."""

    def __init__(self, app: Any, allowed: TransportSecuritySettings) -> None:
        self._app = app
        self._listed = {text.encode() for text in (*allowed.allowed_hosts, *allowed.allowed_origins)}  # "null", for example

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        headers: list[tuple[bytes, bytes]] = scope.get("headers", [])
        if any(name == b"host" and not self._is_plain(value, _HOST) for name, value in headers):
            await refuse(send, 421, b"Invalid Host header\n")
        elif any(name == b"origin" and not self._is_plain(value, _ORIGIN) for name, value in headers):
            await refuse(send, 403, b"Invalid Origin header\n")
        else:
            await self._app(scope, receive, send)

    def _is_plain(self, value: bytes, form: re.Pattern[bytes]) -> bool:
        return value in self._listed or form.fullmatch(value) is not None


class StreamWatch:
    """Tells the calls of a request when the stream has ended on which its client waits."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        ended = asyncio.Event()
        try:
            await self._app({**scope, STREAM_ENDED: ended}, receive, send)
        finally:
            ended.set()


class TokenGuard:
    """Lets in requests that carry the token; others get 401. An ASGI application around another."""

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._expected = app, f"bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, secret = given.partition(b" ")
        if hmac.compare_digest(kind.lower() + b" " + secret.strip(), self._expected):
            await self._app({**scope, TOKEN_CHECKED: True}, receive, send)
            return
        wrong = b', error="invalid_token"' if given else b""
        await refuse(send, 401, b"A bearer token is needed.\n", [(b"www-authenticate", b'Bearer realm="mcp"' + wrong)])


async def refuse(send: Any, status: int, text: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """A whole answer without the application."""
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": plain})
    await send({"type": "http.response.body", "body": text})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def security_of(host: str, hosts: Iterable[str], origins: Iterable[str]) -> TransportSecuritySettings:
    """What Host and Origin headers are let in: a web page that another name leads to this server must not reach it (DNS rebinding).

    Raises UserError where a server that others reach has no names.
    """
    if isinstance(hosts, str) or isinstance(origins, str):
        raise UserError("allowed_hosts= and allowed_origins= take lists: ['mcp.example.org']")
    hosts, origins = list(hosts), list(origins)
    if is_loopback(host):
        names = ["127.0.0.1", "localhost", "[::1]", *([] if host in ("localhost", "127.0.0.1", "::1") else [host])]
        hosts += [h for n in names for h in (n, f"{n}:*")]
        origins += [f"{scheme}://{n}{port}" for scheme in ("http", "https") for n in names for port in ("", ":*")]
    elif not hosts:
        raise UserError(
            f"a server on {host} needs allowed_hosts=: the names under which clients reach it, such as ['mcp.example.org'] or "
            "['mcp.example.org:*'] with any port; requests for other names are refused"
        )
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


def check_exposure(host: str, token: str | None, *, insecure: bool) -> None:
    """Raises UserError for a server that everybody could use, and for a token that is easily guessed."""
    if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or any(c.isspace() for c in token)):
        raise UserError(f"token= is at least {_SHORTEST_TOKEN} ASCII characters without spaces: secrets.token_urlsafe() makes one")
    if token is None and not insecure and not is_loopback(host):
        raise UserError(
            f"a server on {host} can be reached by others, who could call its tools: pass token=, or insecure=True if something in "
            "front of it keeps others out"
        )
