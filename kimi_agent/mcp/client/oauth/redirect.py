"""The loopback address to which the browser comes back with the code (RFC 8252, section 7.3)."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.oauth.answers import one_line
from kimi_agent.mcp.client.oauth.errors import OAuthFailed

_LONGEST = 16_384  # bytes of a request's head
_SLOWEST = 10.0  # seconds for a browser to send one
_LAST_PAGE = 1.0  # seconds for the page to reach it
_HEAD = (
    "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"
)
_PAGE = "<!doctype html><title>kimi-agent</title><p>{}"  # static text only: nothing of the request is ever shown
_DONE = _PAGE.format("Signed in. You can close this window.")
_REFUSED = _PAGE.format("Not signed in. The program that asked for it says why. You can close this window.")
_UNKNOWN = _PAGE.format("This is not the answer that is waited for.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authorization server put into the redirect.

    Attributes:
        iss: the issuer, where it names itself (RFC 9207).
        error: its code, where it refused, such as `access_denied`.
    """

    code: str = field(default="", repr=False)
    state: str | None = field(default=None, repr=False)
    iss: str | None = None
    error: str | None = None


def read_answer(url: str) -> Answer:
    """Takes a redirect's URL apart."""
    query = parse_qs(urlsplit(url).query)

    def first(name: str) -> str | None:
        return query.get(name, [None])[0]

    error = first("error")
    if error is not None and (description := first("error_description")):
        error = f"{error}: {description}"
    return Answer(first("code") or "", first("state"), first("iss"), error)


def accepted(answer: Answer) -> Answer:
    """The answer, where it is a yes. Raises OAuthFailed."""
    if answer.error is not None:
        raise OAuthFailed(f"the authorization server refused: {one_line(answer.error, 300)}")
    if not answer.code:
        raise OAuthFailed("the redirect holds neither a code nor an error")
    return answer


class RedirectListener:
    """One-shot: resolves with the first request that carries the state which was sent out. Whatever else knocks is turned away."""

    def __init__(self, path: str) -> None:
        self.port = 0
        self._path = path
        self._state = ""
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._visits: set[asyncio.Task[None]] = set()

    def expect(self, state: str) -> None:
        """Only the answer with this state counts: any page in the browser can send requests to this port."""
        self._state = state

    async def wait(self) -> Answer:
        """The answer; there may be none for ever."""
        return await self._answer

    def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection in a task of its own."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._visits.add(task)
        task.add_done_callback(self._visits.discard)

    async def aclose(self) -> None:
        """Lets the page of the answer out, and ends the connections that a browser opened ahead and never used."""
        if visits := set(self._visits):
            _, late = await asyncio.wait(visits, timeout=_LAST_PAGE)
            for visit in late:
                visit.cancel()
            if late:
                await asyncio.wait(late)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SLOWEST):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                status, page = self._look_at(line.decode("latin-1").split(" "))
                writer.write(_HEAD.format(status=status, length=len(page)).encode() + page.encode())
                await writer.drain()
        except (TimeoutError, OSError, ValueError):  # ValueError: a line longer than the limit
            pass
        finally:
            writer.close()

    def _look_at(self, request: list[str]) -> tuple[str, str]:
        if len(request) != 3 or request[0] != "GET" or urlsplit(request[1]).path != self._path:
            return "404 Not Found", _UNKNOWN
        answer = read_answer(request[1])
        if not self._state or not secrets.compare_digest((answer.state or "").encode(), self._state.encode()):
            return "400 Bad Request", _UNKNOWN
        if not self._answer.done():  # a page reloaded comes twice, and a wait given up is done too
            self._answer.set_result(answer)
        return "200 OK", _REFUSED if answer.error or not answer.code else _DONE


@asynccontextmanager
async def listening(port: int, path: str, *, or_any: bool = False) -> AsyncGenerator[RedirectListener]:
    """A listener on 127.0.0.1; port 0 is a free one, and with `or_any` a taken port is changed for one.

    Raises UserError where the port is taken.
    """
    listener = RedirectListener(path)
    try:
        server = await asyncio.start_server(listener.visit, "127.0.0.1", port, limit=_LONGEST)
    except OSError as e:
        if not or_any:
            raise UserError(
                f"port {port} for the redirect is not free ({e.strerror or e}): name another as redirect_port="
            ) from None
        server = await asyncio.start_server(listener.visit, "127.0.0.1", 0, limit=_LONGEST)
    try:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener
    finally:
        server.close()
        await listener.aclose()
        await server.wait_closed()
