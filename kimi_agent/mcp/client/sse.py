"""The transport of 2024-11-05. Answers come in one stream of events, whatever became of the requests.

Where a request fails, this client puts the error into that stream: the SDK would wait for an answer, and send nothing any more.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.sse import sse_client
from mcp_types import ErrorData
from typing_extensions import override

from kimi_agent.mcp.client.failures import Failure, error_of, text_of, was_not_sent
from kimi_agent.mcp.client.http import (
    CONNECT,
    EXCERPT,
    Address,
    asked_in,
    headers_of,
    in_time,
    read_whole,
)
from kimi_agent.mcp.client.lines import Lines
from kimi_agent.redact import excerpt

_FOR_EVER = 10.0**9


@asynccontextmanager
async def sse_transport(address: Address) -> AsyncGenerator[Any]:
    """The streams that a session of the SDK speaks through."""

    def client(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
        return _Telling(headers=headers, timeout=timeout, auth=auth)

    async with sse_client(
        address.url,
        headers=headers_of(address),
        auth=address.auth,
        timeout=CONNECT,
        sse_read_timeout=_FOR_EVER,
        httpx_client_factory=client,
    ) as streams:
        yield streams


class _Telling(httpx2.AsyncClient):
    """Tells in the stream of events what became of requests that failed."""

    _events: "_Events | None" = None

    @override
    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # type: ignore[override]
        asked = asked_in(request)
        if asked is None and request.method == "POST":
            return await in_time(super().send(request, **options), request)
        try:
            response = await super().send(request, **options)
        except httpx2.HTTPError as e:
            if asked is None or self._events is None:
                raise
            return await self._told(request, asked, error_of(text_of(e), Failure(seen=not was_not_sent(e))))
        if request.method == "GET" and response.is_success:
            self._events = _Events(response)
            return httpx2.Response(response.status_code, headers=_kept(response), stream=self._events, request=request)
        if asked is None or self._events is None or response.is_success:
            return response
        body = (await read_whole(response)).decode("utf-8", "replace")
        text = f"HTTP {response.status_code} {response.reason_phrase}: {excerpt(body, EXCERPT)}"
        return await self._told(request, asked, error_of(text, Failure(status=response.status_code)))

    async def _told(self, request: httpx2.Request, asked: object, error: ErrorData) -> httpx2.Response:
        assert self._events is not None
        await self._events.add({"jsonrpc": "2.0", "id": asked, "error": error.model_dump(mode="json")})
        return httpx2.Response(202, request=request)


def _kept(response: httpx2.Response) -> dict[str, str]:
    return {"content-type": response.headers.get("content-type", "text/event-stream")}


class _Events(httpx2.AsyncByteStream):
    """The server's events, and ours between them."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=64)

    async def add(self, message: dict[str, Any]) -> None:
        """One of ours."""
        await self._queue.put(f"event: message\ndata: {json.dumps(message)}\n\n".encode())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pump = asyncio.create_task(self._pump())
        try:
            while (chunk := await self._queue.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            pump.cancel()
            await asyncio.wait([pump])

    async def _pump(self) -> None:
        """Whole events only, so that none of ours comes into the middle of one of theirs."""
        lines, event = Lines(), list[bytes]()
        try:
            async for chunk in self._response.aiter_bytes():
                for line in lines.feed(chunk):
                    event.append(line.rstrip(b"\r"))
                    if not event[-1]:
                        await self._queue.put(b"\n".join([*event, b""]))
                        event = []
            await self._queue.put(None)
        except Exception as e:
            await self._queue.put(e)

    async def aclose(self) -> None:
        await self._response.aclose()
