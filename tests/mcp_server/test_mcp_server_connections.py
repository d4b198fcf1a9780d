"""Connections on which no whole request comes: they end in time, and make room for others."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp_server_clients import HEADERS, initialize

from kimi_agent.mcp.server.connections import GuardedProtocol

pytestmark = pytest.mark.anyio
HALF_HEADERS = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: "
HALF_BODY = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
WHOLE = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"


class App:
    """Answers a request once all of it is there; it can be made to wait with the answer."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.answer.set()
        self.began = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        self.began += 1
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Hasty(GuardedProtocol):
    """With little patience."""

    headers_within, body_within, most = 0.3, 0.3, 1000


class Small(GuardedProtocol):
    """Patient, with room for few."""

    most = 3


@asynccontextmanager
async def listening(app: App, protocol: type[GuardedProtocol]) -> AsyncIterator[int]:
    """The port of a server."""
    config = uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None, log_level="critical")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        app.answer.set()
        server.should_exit = True
        await running


class Connection:
    """One of an attacker, or of somebody in earnest."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int, sent: bytes = b"") -> "Connection":
        made = cls(*await asyncio.open_connection("127.0.0.1", port))
        made.writer.write(sent)
        await asyncio.sleep(0.02)  # so that the server has read it, and the order is known
        return made

    async def answer(self) -> bytes:
        """One answer; b"" where the server has closed."""
        async with asyncio.timeout(10):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
                return head + await self.reader.readexactly(2)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.mark.parametrize("sent", [b"", HALF_HEADERS, HALF_BODY], ids=["nothing", "headers", "body"])
async def test_half_a_request_is_not_waited_for(sent: bytes) -> None:
    async with listening(App(), Hasty) as port:
        connection = await Connection.to(port, sent)
        assert await connection.answer() == b""
        await connection.close()


async def test_what_comes_little_by_little_is_not_waited_for_either() -> None:
    async with listening(App(), Hasty) as port:
        connection = await Connection.to(port, HALF_HEADERS)

        async def dribble() -> None:
            while True:
                connection.writer.write(b"x")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert await connection.answer() == b""
        dribbling.cancel()
        await connection.close()


async def test_an_answer_may_take_its_time_and_a_connection_serves_again() -> None:
    app = App()
    async with listening(app, Hasty) as port:
        connection = await Connection.to(port)
        for _ in range(2):
            app.answer.clear()
            connection.writer.write(HALF_BODY)
            await asyncio.sleep(0.05)
            connection.writer.write(b" " * 99)
            await asyncio.sleep(0.5)  # longer than its headers and its body may take
            app.answer.set()
            assert (await connection.answer()).endswith(b"ok")
        await connection.close()


async def test_who_has_sent_no_whole_request_makes_room_for_others() -> None:
    app = App()
    async with listening(app, Small) as port:
        app.answer.clear()
        working = await Connection.to(port, WHOLE)
        oldest = await Connection.to(port, HALF_HEADERS)
        half = await Connection.to(port, HALF_BODY)
        new = await Connection.to(port, WHOLE)
        assert await oldest.answer() == b""
        newer = await Connection.to(port, WHOLE)
        assert await half.answer() == b""
        refused = await Connection.to(port, WHOLE)  # all are working: nobody goes but this one
        assert await refused.answer() == b""
        assert app.began == 3
        app.answer.set()
        for each in (working, new, newer):
            assert (await each.answer()).endswith(b"ok")
        for each in (working, oldest, half, new, newer, refused):
            await each.close()


SERVER = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from kimi_agent.mcp.server import MCPService
def echo(text: str) -> str:
    return text
asyncio.run(MCPService(echo).http(port=0, token="correct-horse-battery-staple", ready=lambda url: print(url, flush=True)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of files")
async def test_a_flood_of_half_requests_without_a_token_keeps_nobody_out() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        flood = [await Connection.to(httpx2.URL(url).port or 0, HALF_HEADERS) for _ in range(80)]
        async with httpx2.AsyncClient() as http:
            headers = {**HEADERS, "authorization": "Bearer correct-horse-battery-staple"}
            assert (await http.post(url, json=initialize(), headers=headers)).status_code == 200
        for each in flood:
            await each.close()
    finally:
        process.terminate()
        await process.communicate()
