"""A chat endpoint on this machine that does what a test tells it, and clients of every kind to reach it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from moonshot_platform import Platform

from kimi_agent.messages import UserMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.models.endpoint import ChatEndpoint
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.parts import WirePart

KEY = "sk-test-0123456789abcdef"
CLIENTS = ("shared", "aiohttp", "httpx", "httpx2", "openai", "openai+httpx")
_FAST = ("shared", "httpx", "openai", "anthropic")

Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


def each_client(kinds: Iterable[str] = CLIENTS) -> list[Any]:
    """Parameters, one a kind: the fast tests have one client of each family, the slow ones the others too."""
    return [kind if kind in _FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@dataclass
class Loopback:
    """What the server saw. `url` is the base URL."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    models_asked: int = 0
    connections: set[Any] = field(default_factory=set)
    platform: Platform = field(default_factory=Platform)


@asynccontextmanager
async def serving(
    handler: Handler, *, models: Any = None, ssl_context: Any = None, host: str = "127.0.0.1"
) -> AsyncIterator[Loopback]:
    """Runs `handler(request, number of the request)` behind `/v1/chat/completions` and `/v1/completions`."""
    seen = Loopback()

    async def completions(request: web.Request) -> web.StreamResponse:
        seen.bodies.append(await request.json())
        seen.headers.append(request.headers)
        seen.connections.add(request.transport)
        return await handler(request, len(seen.bodies) - 1)

    async def list_models(request: web.Request) -> web.StreamResponse:
        seen.models_asked += 1
        return web.json_response(models) if models is not None else web.Response(status=404)

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/v1/chat/completions", completions)
    app.router.add_post("/v1/completions", completions)
    app.router.add_get("/v1/models", list_models)
    seen.platform.add_to(app)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=ssl_context)
    await site.start()
    port = runner.addresses[0][1]
    seen.url = f"{'https' if ssl_context else 'http'}://{host}:{port}/v1"
    try:
        yield seen
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(kind: str, base_url: str) -> AsyncIterator[Any]:
    """A user's own client of each kind; None for the one that the library shares."""
    if kind == "shared":
        yield None
    elif kind == "aiohttp":
        import aiohttp

        async with aiohttp.ClientSession() as session:
            yield session
    elif kind == "httpx":
        import httpx

        async with httpx.AsyncClient(trust_env=False) as client:
            yield client
    elif kind == "httpx2":
        import httpx2

        async with httpx2.AsyncClient(trust_env=False) as client:
            yield client
    else:
        import httpx
        import httpx2
        import openai

        library: Any = httpx if kind == "openai+httpx" else httpx2
        inner = library.AsyncClient(trust_env=False)
        async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=inner) as client:
            yield client


@asynccontextmanager
async def endpoint_of(kind: str, server: Loopback, **options: Any) -> AsyncIterator[ChatEndpoint]:
    """An endpoint for `kimi-k2.6` that goes through this kind of client."""
    async with client_of(kind, server.url) as client:
        yield ChatEndpoint("kimi-k2.6", base_url=server.url, api_key=KEY, client=client, **options)


def ask(text: str = "Hi", **settings: Any) -> ModelRequest:
    """A request of one user message."""
    return ModelRequest(messages=(UserMessage(text),), settings=ModelSettings(**settings))


async def drain(endpoint: ChatEndpoint, request: ModelRequest | None = None) -> list[WirePart]:
    """All parts of one answer."""
    return [part async for part in endpoint.stream(request or ask())]


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a stream."""
    return {"id": "c-1", "model": "kimi-k2.6", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def whole(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    return {"id": "c-1", "model": "kimi-k2.6", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **fields}


def events(*chunks: Any, done: bool = True) -> list[bytes]:
    """Server-sent events of these chunks."""
    made = [b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks]
    return [*made, b"data: [DONE]\n\n"] if done else made


async def send(request: web.Request, pieces: Iterable[bytes], *, pause: float = 0, **headers: str) -> web.StreamResponse:
    """Answers with a stream of these pieces."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **headers})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(pause)
    return response


def error(status: int, type: str, message: str, **headers: str) -> web.Response:
    """An error answer as Moonshot writes them."""
    return web.json_response({"error": {"type": type, "message": message}}, status=status, headers=headers)
