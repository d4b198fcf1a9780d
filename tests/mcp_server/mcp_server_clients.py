"""The SDK's own client, in every way in which it can reach a server of ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp
import mcp_types as types

from kimi_agent.mcp.server.service import MCPService

MODES = ("auto", "legacy")  # the modern era and the handshake


def text_of(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


def connected(service: MCPService, mode: str, **callbacks: Any) -> mcp.Client:
    """In this process."""
    return mcp.Client(service.in_process(), mode=mode, **callbacks)


def answering(*answers: types.ElicitResult) -> Any:
    """A user who answers questions in this order; `asked` are the questions."""
    left, asked = list(answers), []

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params)
        return left.pop(0)

    elicit.asked = asked  # type: ignore[attr-defined]
    return elicit


def accept(**content: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content=content)


DECLINE = types.ElicitResult(action="decline")


class Heard:
    """What a client was told beside results."""

    def __init__(self) -> None:
        self.progress: list[tuple[float, float | None, str | None]] = []
        self.logs: list[tuple[str, Any, str | None]] = []
        self.messages: list[str] = []
        self.news = asyncio.Event()

    async def on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append((progress, total, message))
        self.news.set()

    async def on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append((params.level, params.data, params.logger))

    async def on_message(self, message: Any) -> None:
        self.messages.append(getattr(message, "method", type(message).__name__))
        self.news.set()

    async def until(self, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            await self.news.wait()
        self.news.clear()


@asynccontextmanager
async def over_http(service: MCPService, **options: Any) -> AsyncIterator[str]:
    """The URL of the service on a free port of this machine."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(service.http(**{"port": 0, **options}, ready=ready.set_result))
    await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield ready.result()
    finally:
        task.cancel()
        await asyncio.wait([task])


HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


def initialize(version: str = "2025-11-25") -> dict[str, Any]:
    return {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
    }  # fmt: skip


async def post(url: str, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        return await client.post(url, content=json.dumps(body), headers={**HEADERS, **(headers or {})})


async def until(done: Any, seconds: float = 10) -> None:
    """Waits until `done()` is true."""
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def names(tools: Sequence[types.Tool]) -> list[str]:
    return [t.name for t in tools]
