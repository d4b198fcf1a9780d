"""An OpenAI-compatible server over the embedded engine, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Protocol, cast

from aiohttp import web

from .errors import EmbeddedError

__all__ = ["ChatEngine", "application", "serve_engine", "serve_raw"]

Json = dict[str, Any]
#: OpenAI's status for our error codes; the rest is 500.
STATUS = {"invalid_request": 400, "context_length_exceeded": 400, "model_not_found": 404, "closed": 503}
MAX_BODY = 16 * 1024 * 1024


class ChatEngine(Protocol):
    """What is served: `Engine`, or a double in tests."""

    model: str

    def chat(self, body: Json, cancelled: threading.Event) -> Iterator[Json]: ...


def application(engine: ChatEngine) -> web.Application:
    """The routes `/v1/chat/completions`, `/v1/models` and `/health`."""
    service = _Service(engine)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
    app.router.add_post("/v1/chat/completions", service.chat)
    app.router.add_get("/v1/models", service.models)
    app.router.add_get("/health", service.health)
    return app


class _Service:
    def __init__(self, engine: ChatEngine) -> None:
        self.engine = engine
        self.started = int(time.time())

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(self, _request: web.Request) -> web.Response:
        entry = {"id": self.engine.model, "object": "model", "created": self.started, "owned_by": "kimi-backend"}
        return web.json_response({"object": "list", "data": [entry]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        chunks = _threaded(self.engine, body)
        try:
            if body.get("stream"):
                return await _stream(request, body, chunks)
            return web.json_response(join([chunk async for chunk in chunks]))
        finally:
            await chunks.aclose()


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise EmbeddedError(f"the body is not JSON: {error}", code="invalid_request") from error
    if not isinstance(body, dict):
        raise EmbeddedError("the body must be a JSON object", code="invalid_request")
    return cast(Json, body)


async def _stream(request: web.Request, body: Json, chunks: AsyncGenerator[Json]) -> web.StreamResponse:
    """Server-sent events. The first chunk is awaited before the headers, so that an early error has its status."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    first = await anext(chunks)
    await response.prepare(request)
    usage = bool(cast(Json, body.get("stream_options") or {}).get("include_usage"))
    try:
        await _send(response, json.dumps(first))
        async for chunk in chunks:
            if chunk["choices"] or usage:
                await _send(response, json.dumps(chunk, ensure_ascii=False))
    except EmbeddedError as error:
        await _send(response, json.dumps(_problem(error)))
    await _send(response, "[DONE]")
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, data: str) -> None:
    await response.write(f"data: {data}\n\n".encode())


async def _threaded(engine: ChatEngine, body: Json) -> AsyncGenerator[Json]:
    """Run the engine's blocking generator in a thread; leaving this generator stops it."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Json | BaseException | None] = asyncio.Queue()
    cancelled = threading.Event()

    def put(item: Json | BaseException | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        try:
            for chunk in engine.chat(body, cancelled):
                put(chunk)
        except BaseException as error:  # carried over to the request that waits for it
            put(error)
        else:
            put(None)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        cancelled.set()


def join(chunks: list[Json]) -> Json:
    """A whole `chat.completion` out of its chunks."""
    message: Json = {"role": "assistant", "content": ""}
    reason, usage = "stop", None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            for call in cast("list[Json]", delta.get("tool_calls") or []):
                message.setdefault("tool_calls", []).append({k: v for k, v in call.items() if k != "index"})
            reason = choice["finish_reason"] or reason
    if message.get("tool_calls") and not message["content"]:
        message["content"] = None
    head = {key: chunks[0][key] for key in ("id", "created", "model")}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except EmbeddedError as error:
        return web.json_response(_problem(error), status=STATUS.get(error.code, 500))
    except web.HTTPException as error:
        problem = EmbeddedError(f"{error.reason}: {request.method} {request.path}", code="not_found")
        return web.json_response(_problem(problem), status=error.status)


def _problem(error: EmbeddedError) -> Json:
    kind = "invalid_request_error" if STATUS.get(error.code, 500) < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}


def serve_engine(model: str, host: str, port: int) -> None:
    """Open the engine and serve it until interrupted."""
    from .engine import open_engine
    from .progress import obtain_with_bar

    obtain_with_bar(model)
    engine = open_engine(model)
    try:
        asyncio.run(_run(engine, host, port))
    except KeyboardInterrupt:
        pass
    finally:
        engine.close()


async def _run(engine: ChatEngine, host: str, port: int) -> None:
    runner = web.AppRunner(application(engine))
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        name, number = runner.addresses[0][:2]
        print(f"serving {engine.model} at http://{name}:{number}/v1", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def serve_raw(model: str, host: str, port: int) -> None:
    """llama.cpp's own server: its own templates and tool parsing, none of our constraints."""
    import contextlib
    import os

    from .catalogue import model_name
    from .engine import CONTEXT, default_threads
    from .progress import obtain_with_bar
    from .runtime import Runtime, Settings

    path = obtain_with_bar(model)
    key = os.environ.get("KIMI_EMBEDDED_KEY", "")
    runtime = Runtime(Settings(path, default_threads(), CONTEXT, port=port, key=key, host=host))
    print(f"serving {model_name(path)} (llama.cpp's server) at {runtime.address}/v1", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    runtime.close()
