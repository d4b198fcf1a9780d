"""The same requests and answers through every client: ours, aiohttp, httpx, httpx2, openai on either httpx."""

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web
from loopback import KEY, ask, delta, drain, each_client, endpoint_of, error, events, send, serving, whole

from kimi_agent.errors import (
    AuthenticationError,
    BadRequest,
    BadResponse,
    ConnectionFailed,
    ContextLengthExceeded,
    ProviderTimeout,
    RateLimited,
    StatusError,
    StreamBroken,
)
from kimi_agent.models.base import ModelRequest, ToolSpec
from kimi_agent.settings import Timeouts
from kimi_agent.wire.parts import (
    CallArguments,
    CallBegin,
    CallEnd,
    Finish,
    ReasoningPart,
    ResponseInfo,
    TextPart,
    UsagePart,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", each_client())]

USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "cached_tokens": 8}
CALL = {"index": 0, "id": "functions.get:0", "function": {"name": "get", "arguments": ""}}
STREAM = (
    delta(role="assistant", content="", reasoning_content="hm"),
    delta(content="Look"),
    delta(content="ing. 北京"),
    delta(tool_calls=[CALL]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a": 1}'}}]),
    delta("tool_calls"),
    {"choices": [], "usage": USAGE},
)


async def test_a_streamed_answer_and_its_request(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(*STREAM), **{"Msh-Request-Id": "m-7"})

    tool = ToolSpec("get", "Gets.", {"type": "object", "properties": {}})
    request = ModelRequest(messages=ask("你好").messages, tools=(tool,), settings=ask(max_tokens=500).settings)
    async with serving(handler) as server, endpoint_of(kind, server, headers={"X-Mine": "1"}) as endpoint:
        parts = await drain(endpoint, request)
    usage = next(p.usage for p in parts if isinstance(p, UsagePart))
    assert [p for p in parts if not isinstance(p, UsagePart)] == [
        ResponseInfo("m-7", "kimi-k2.6"),
        ReasoningPart("hm"),
        TextPart("Look"),
        TextPart("ing. 北京"),
        CallBegin(0, "get", "functions.get:0"),
        CallArguments(0, '{"a": 1}'),
        CallEnd(0),
        Finish("tool_calls"),
    ]
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (12, 8, 5)
    assert server.bodies == [
        {
            "model": "kimi-k2.6",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 1.0,
            "top_p": 0.95,
            "max_completion_tokens": 500,
            "messages": [{"role": "user", "content": "你好"}],
            "tools": [{"type": "function", "function": {"name": "get", "description": "Gets.", "parameters": tool.parameters}}],
        }
    ]
    headers = server.headers[0]
    assert headers["Authorization"] == f"Bearer {KEY}" and headers["X-Mine"] == "1"
    assert headers["Content-Type"] == "application/json"


async def test_a_whole_answer(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.json_response(whole("Hello.", usage=USAGE))

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint, ask(stream=False))
    assert [p for p in parts if isinstance(p, TextPart | Finish)] == [TextPart("Hello."), Finish("stop")]
    assert server.bodies[0]["stream"] is False and "stream_options" not in server.bodies[0]


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
async def test_a_stream_in_any_pieces(kind: str, size: int) -> None:
    body = b"".join(events(*STREAM)).replace(b"\n", b"\r\n")

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, [body[i : i + size] for i in range(0, len(body), size)])

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint)
    assert "".join(p.text for p in parts if isinstance(p, TextPart)) == "Looking. 北京"
    assert parts[-1] == Finish("tool_calls")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", json.dumps(whole()).encode()),  # whole, though a stream was asked for
        ("text/plain", json.dumps(whole()).encode()),
        ("text/plain", b"\n\n" + json.dumps(whole()).encode()),
        ("application/json", b"\xef\xbb\xbf" + json.dumps(whole()).encode()),  # with a byte order mark
        ("application/json", b"\n\n" + json.dumps(whole()).encode()),  # kept alive by line breaks
        ("application/json", b"".join(events(delta(content="Hello."), delta("stop")))),  # a stream by the wrong name
        ("application/json", b"\r\n: hello\n\n" + b"".join(events(delta(content="Hello."), delta("stop")))),
        ("application/json", b"event: message\n" + b"".join(events(delta("stop", content="Hello.")))),
        ("text/event-stream", b"".join(events(None, delta(content="Hello."), None, delta("stop")))),  # kept alive by null
        ("text/plain", b"".join(events(delta(content="Hello."), delta("stop")))),
        ("text/event-stream; charset=utf-8", b"".join(events(delta("stop", content="Hello."), done=False))),  # no [DONE]
        ("text/event-stream", b"".join(events(delta("stop", content="Hello."), done=False)).rstrip()),  # no last blank line
    ],
)
async def test_answers_are_read_for_what_they_are(kind: str, content_type: str, body: bytes) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": content_type})

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint)
    assert [p for p in parts if isinstance(p, TextPart | Finish)] == [TextPart("Hello."), Finish("stop")]


@pytest.mark.parametrize(
    ("status", "type", "message", "expected"),
    [
        (401, "invalid_authentication_error", "Invalid Authentication", AuthenticationError),
        (429, "rate_limit_reached_error", "max RPM: 3", RateLimited),
        (400, "invalid_request_error", "Your request exceeded model token limit: 8192", ContextLengthExceeded),
        (400, "invalid_request_error", "invalid temperature", BadRequest),
        (500, "server_error", "boom", StatusError),
    ],
)
async def test_error_answers(kind: str, status: int, type: str, message: str, expected: type[StatusError]) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return error(status, type, message, **{"X-Request-Id": "r-1"})

    async with serving(handler) as server, endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(expected, match=message) as caught:
            await drain(endpoint)
    assert caught.value.__class__ is expected
    assert (caught.value.status, caught.value.request_id) == (status, "r-1")


async def test_a_redirect_is_told_and_not_followed(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "https://elsewhere.example/v1/chat/completions"})

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        with pytest.raises(StatusError, match=r"elsewhere\.example"):
            await drain(endpoint)


@pytest.mark.parametrize("body", [b"data: {nonsense\n\n", b"data: 5\n\n"])
async def test_a_stream_of_nonsense(kind: str, body: bytes) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, [body])

    async with serving(handler) as server, endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(BadResponse):
            await drain(endpoint)


@pytest.mark.parametrize("body", [b"<html>Welcome to nginx</html>", b'{"ok": true}', b'{"choices": []}', b"[1]"])
async def test_a_whole_answer_that_is_none(kind: str, body: bytes) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(body=body, content_type="text/html" if body[:1] == b"<" else "application/json")

    async with serving(handler) as server, endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(BadResponse):
            await drain(endpoint)


async def test_a_broken_stream_keeps_what_came_and_is_not_sent_again(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        response = await send(request, events(delta(content="Hel"), done=False), pause=0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    came = []
    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        with pytest.raises(StreamBroken):
            async for part in endpoint.stream(ask()):
                came.append(part)
    assert TextPart("Hel") in came
    assert len(server.bodies) == 1


async def test_a_stream_that_just_stops_is_broken(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta(content="Hel"), done=False))

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        with pytest.raises(StreamBroken, match="finish reason"):
            await drain(endpoint)


async def test_plain_words_in_an_event_named_error_are_a_broken_stream(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        begun = events(delta(tool_calls=[CALL]), delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a'}}]), done=False)
        return await send(request, [*begun, b"event: error\ndata: upstream died\n\n"], pause=0.02)

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        with pytest.raises(StreamBroken, match="upstream died") as caught:
            await drain(endpoint)
    assert caught.value.retryable and len(server.bodies) == 1


async def test_an_error_behind_the_finish_reason_takes_nothing_away(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        body = b"".join(events(delta("stop", content="Hello."), done=False))
        return await send(request, [body + b"event: error\ndata: upstream died\n\n"])

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint)
    assert TextPart("Hello.") in parts and parts[-1] == Finish("stop")


async def test_no_connection(kind: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    class Nowhere:
        url = f"http://127.0.0.1:{port}/v1"

    nowhere: Any = Nowhere()
    async with endpoint_of(kind, nowhere, max_retries=0) as endpoint:
        with pytest.raises(ConnectionFailed):
            await drain(endpoint)


@pytest.mark.parametrize(
    ("timeouts", "phase"),
    [
        (Timeouts(first_byte=0.2), "first byte"),
        (Timeouts(total=0.2), "total"),
    ],
)
async def test_time_out_before_the_head(kind: str, timeouts: Timeouts, phase: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    async with serving(handler) as server, endpoint_of(kind, server, timeouts=timeouts, max_retries=0) as endpoint:
        with pytest.raises(ProviderTimeout, match=r"0\.2 s") as caught:
            await drain(endpoint)
    assert caught.value.phase == phase and caught.value.retryable


@pytest.mark.parametrize(
    ("timeouts", "pieces", "phase"),
    [
        (Timeouts(first_byte=0.4), 0, "first byte"),  # the head came, but no body
        (Timeouts(idle=0.2), 1, "idle"),
        (Timeouts(total=0.3), 1, "total"),
    ],
)
async def test_time_out_in_the_body(kind: str, timeouts: Timeouts, pieces: int, phase: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        response = await send(request, events(*STREAM)[:pieces])
        await asyncio.sleep(30)
        return response

    async with serving(handler) as server, endpoint_of(kind, server, max_retries=1) as endpoint:
        request = ask(timeouts=timeouts)  # a run's own stand over the endpoint's
        with pytest.raises(ProviderTimeout) as caught:
            await drain(endpoint, request)
    assert caught.value.phase == phase
    assert len(server.bodies) == (1 if pieces else 2)  # only what gave nothing is asked again


async def test_time_out_of_the_connection(kind: str) -> None:
    """A server whose queue of connections is full: the kernel answers nothing."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    address = server.getsockname()
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(address)

    class Full:
        url = f"http://127.0.0.1:{address[1]}/v1"

    full: Any = Full()
    try:
        async with endpoint_of(kind, full, timeouts=Timeouts(connect=0.3), max_retries=0) as endpoint:
            with pytest.raises(ProviderTimeout) as caught:
                await drain(endpoint)
        assert caught.value.phase == "connect"
    finally:
        for s in (server, *fillers):
            s.close()


async def test_leaving_the_stream_closes_the_connection(kind: str) -> None:
    cancelled = asyncio.Event()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        try:
            return await send(request, events(*[delta(content="a")] * 1000), pause=0.02)
        except (asyncio.CancelledError, ConnectionError):
            cancelled.set()
            raise

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        stream = endpoint.stream(ask())
        async for part in stream:
            if isinstance(part, TextPart):
                break
        await stream.aclose()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_cancelling_the_task_closes_the_connection(kind: str) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()
        raise AssertionError

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        task = asyncio.create_task(drain(endpoint))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_connection_is_used_again(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(*STREAM))

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        for _ in range(4):
            await drain(endpoint)
    assert len(server.connections) == 1


async def test_megabytes_go_through(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta("stop", content="y" * 3_000_000)))

    async with serving(handler) as server, endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint, ask("x" * 3_000_000))
    assert len(server.bodies[0]["messages"][0]["content"]) == 3_000_000
    assert TextPart("y" * 3_000_000) in parts
