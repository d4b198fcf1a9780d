"""Anthropic-compatible endpoints, through every client."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiohttp import web
from loopback import KEY, ask, drain, each_client, send
from messages_loopback import (
    CLIENTS,
    call_block,
    ended,
    message,
    messages_endpoint_of,
    refused,
    serving_messages,
    sse,
    started,
    text_block,
    thinking_block,
)

from kimi_agent import Agent, tool
from kimi_agent.errors import (
    AuthenticationError,
    BadResponse,
    ConnectionFailed,
    ContextLengthExceeded,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    StatusError,
    StreamBroken,
    UserError,
)
from kimi_agent.messages import AssistantMessage, ToolMessage
from kimi_agent.models.base import Price, Profile
from kimi_agent.models.messages_endpoint import MessagesEndpoint, messages_profile
from kimi_agent.models.real_requests import forbid_real_requests
from kimi_agent.settings import Timeouts
from kimi_agent.wire.parts import CallArguments, CallBegin, CallEnd, Finish, ReasoningPart, ResponseInfo, TextPart, UsagePart

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", each_client(CLIENTS))]

Answers = Callable[[web.Request, int], Any]
FAST = Profile(context_window=10_000)


def answering(*answers: Sequence[dict[str, Any]] | dict[str, Any] | web.Response, **headers: str) -> Answers:
    """Each request gets the next answer, and the last one for ever: events, a whole message, or a response."""

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        answer = answers[min(number, len(answers) - 1)]
        if isinstance(answer, web.Response):
            return answer
        if isinstance(answer, dict):
            return web.json_response(answer, headers=headers)
        return await send(request, sse(*answer), **headers)

    return handler


HELLO = [started(), *text_block(0, "Hel", "lo."), *ended()]


async def test_a_streamed_answer_and_its_headers(kind: str) -> None:
    events = [
        started(cache_read_input_tokens=30),
        *thinking_block(0, "Hm."),
        *text_block(1, "Look: ", "北京"),
        *call_block(2, "get", '{"a":', " 1}"),
        *ended("tool_use"),
    ]
    handler = answering(events, **{"request-id": "req_7"})
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, headers={"X-Mine": "1"}) as endpoint:
        parts = await drain(endpoint)
    usage = next(p.usage for p in parts if isinstance(p, UsagePart))
    assert [p for p in parts if not isinstance(p, UsagePart)] == [
        ResponseInfo("req_7", "kimi-k2.6"),
        ReasoningPart(""),
        ReasoningPart("Hm."),
        TextPart("Look: "),
        TextPart("北京"),
        CallBegin(0, "get", "toolu_2"),
        CallArguments(0, '{"a":'),
        CallArguments(0, " 1}"),
        CallEnd(0),
        Finish("tool_calls"),
    ]
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (40, 30, 5)
    headers = server.headers[0]
    assert headers["Authorization"] == f"Bearer {KEY}" and headers["anthropic-version"] == "2023-06-01"
    assert headers["X-Mine"] == "1" and headers["Content-Type"] == "application/json"
    assert kind == "anthropic" or headers["X-Api-Key"] == KEY


async def test_a_whole_answer_whatever_was_asked_for(kind: str) -> None:
    answer = message({"type": "text", "text": "Hello."})
    async with serving_messages(answering(answer)) as server, messages_endpoint_of(kind, server) as endpoint:
        for request in (ask(stream=False), ask()):
            parts = await drain(endpoint, request)
            assert [p for p in parts if isinstance(p, TextPart | Finish)] == [TextPart("Hello."), Finish("stop")]
    assert [body["stream"] for body in server.bodies] == [False, True]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_a_stream_in_any_pieces(kind: str, size: int) -> None:
    body = b"".join(sse(started(), *text_block(0, "北", "京"), *call_block(1, "get", '{"a": 1}'), *ended("tool_use")))
    body = body.replace(b"\n", b"\r\n")

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, [body[i : i + size] for i in range(0, len(body), size)])

    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint)
    assert "".join(p.text for p in parts if isinstance(p, TextPart)) == "北京"
    assert "".join(p.fragment for p in parts if isinstance(p, CallArguments)) == '{"a": 1}'
    assert parts[-1] == Finish("tool_calls")


async def test_the_stream_is_over_with_message_stop(kind: str) -> None:
    """Whatever the server does with the connection then."""
    left = asyncio.Event()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        response = await send(request, sse(*HELLO))
        try:
            await asyncio.sleep(300)
        finally:
            left.set()
        return response

    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        async with asyncio.timeout(20):  # else it would wait for the server
            assert (await drain(endpoint))[-1] == Finish("stop")
            await left.wait()


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def test_an_agent_run_with_parallel_calls_and_an_error(kind: str) -> None:
    calls = [
        *call_block(1, "add", '{"a": 1, ', '"b": 2}'),
        *call_block(2, "add", '{"a": "x"}'),
        *call_block(3, "add", '{"a":5,"b":6}'),
    ]
    first = [started(), *thinking_block(0, "Sums."), *calls, *ended("tool_use")]
    handler = answering(first, [started(), *text_block(0, "3 and 11."), *ended()])
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        result = await Agent(endpoint, tools=[add], instructions="Be brief.").run("1+2, x, 5+6?")
    assert result.output == "3 and 11." and result.stop_reason == "completed"
    results = [m for m in result.messages if isinstance(m, ToolMessage)]
    assert [m.is_error for m in results] == [False, True, False] and (results[0].text, results[2].text) == ("3", "11")
    asked, answered, told = server.bodies[1]["messages"]
    ids = [b["id"] for b in answered["content"] if b["type"] == "tool_use"]
    assert asked["content"] == [{"type": "text", "text": "1+2, x, 5+6?"}]
    assert answered["content"][0] == {"type": "thinking", "thinking": "Sums.", "signature": ""}
    assert [b["input"] for b in answered["content"][1:]] == [{"a": 1, "b": 2}, {"a": "x"}, {"a": 5, "b": 6}]
    assert [b["tool_use_id"] for b in told["content"]] == ids and [b.get("is_error") for b in told["content"]] == [None, True, None]
    assert server.bodies[1]["system"] == "Be brief."


async def test_a_run_whose_stream_breaks_after_a_call_goes_on(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        if number:
            return await send(request, sse(started(), *text_block(0, "3."), *ended()))
        events = [started(), *call_block(0, "add", '{"a": 1, "b": 2}'), *call_block(1, "add", '{"a": 1')[:-1]]
        response = await send(request, sse(*events))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        result = await Agent(endpoint, tools=[add]).run("1+2?")
    assert result.output == "3."
    assert [m.text for m in result.messages if isinstance(m, ToolMessage)] == ["3"]
    turn = next(m for m in result.messages if isinstance(m, AssistantMessage))
    assert len(turn.tool_calls) == len(turn.cut_calls) == 1
    sent = [block["type"] for m in server.bodies[1]["messages"] for block in m["content"]]
    assert sent[:4] == ["text", "thinking", "tool_use", "tool_result"]


@pytest.mark.parametrize("events", [[started()], [started(), *text_block(0, "Hel")], [{"type": "ping"}]])
async def test_a_stream_without_an_end_is_broken(kind: str, events: list[dict[str, Any]]) -> None:
    async with serving_messages(answering(events)) as server, messages_endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(StreamBroken, match="without a finish reason"):
            await drain(endpoint)


@pytest.mark.parametrize(
    ("status", "type", "words", "expected", "retryable"),
    [
        (401, "authentication_error", "invalid x-api-key", AuthenticationError, False),
        (403, "permission_error", "not for you", AuthenticationError, False),
        (429, "rate_limit_error", "slow down", RateLimited, True),
        (529, "overloaded_error", "Overloaded", Overloaded, True),
        (400, "invalid_request_error", "prompt is too long: 300000 tokens > 262144 maximum", ContextLengthExceeded, False),
        (413, "request_too_large", "Request exceeds the maximum size", StatusError, False),
        (404, "not_found_error", "model: no-such", StatusError, False),
        (500, "api_error", "Internal server error", StatusError, True),
    ],
)
async def test_error_answers(kind: str, status: int, type: str, words: str, expected: type[StatusError], retryable: bool) -> None:
    handler = answering(refused(status, type, words, **{"request-id": "req_9"}))
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(expected, match=words) as caught:
            await drain(endpoint)
    error = caught.value
    assert (error.status, error.code, error.request_id, error.retryable) == (status, type, "req_9", retryable)
    assert KEY not in str(error)


async def test_what_may_pass_is_tried_again(kind: str) -> None:
    inside = [started(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    handler = answering(refused(529, "overloaded_error", "Overloaded", **{"retry-after": "0"}), inside, HELLO)
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        parts = await drain(endpoint)
    assert [p for p in parts if isinstance(p, TextPart)] == [TextPart("Hel"), TextPart("lo.")] and len(server.bodies) == 3


async def test_nothing_is_tried_again_behind_the_first_word(kind: str) -> None:
    broken = [started(), *text_block(0, "Hel"), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    async with serving_messages(answering(broken)) as server, messages_endpoint_of(kind, server) as endpoint:
        with pytest.raises(Overloaded):
            await drain(endpoint)
    assert len(server.bodies) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"object": "chat.completion"}', b"data: nonsense\n\n"])
async def test_what_is_no_answer(kind: str, body: bytes) -> None:
    handler = answering(web.Response(body=body, content_type="text/event-stream" if body[:4] == b"data" else "application/json"))
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, max_retries=0) as endpoint:
        with pytest.raises(BadResponse):
            await drain(endpoint)


@pytest.mark.parametrize(
    ("timeouts", "pieces", "phase"),
    [(Timeouts(first_byte=0.1), 0, "first byte"), (Timeouts(idle=0.1), 2, "idle"), (Timeouts(total=0.2), 2, "total")],
)
async def test_time_outs(kind: str, timeouts: Timeouts, pieces: int, phase: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        response = await send(request, sse(*HELLO)[:pieces])
        await asyncio.sleep(30)
        return response

    options: Any = {"timeouts": timeouts, "max_retries": 0}
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, **options) as endpoint:
        with pytest.raises(ProviderTimeout) as caught:
            await drain(endpoint)
    assert caught.value.phase == phase


async def test_no_connection(kind: str) -> None:
    async with serving_messages(answering(HELLO)) as server:
        pass
    async with messages_endpoint_of(kind, server, max_retries=0, profile=FAST) as endpoint:
        with pytest.raises(ConnectionFailed, match=r"no answer from http://127\.0\.0\.1:\d+/anthropic"):
            await drain(endpoint)


async def test_leaving_the_stream_closes_the_connection(kind: str) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        try:
            response = await send(request, sse(started(), *text_block(0, "Hel")))
            await asyncio.sleep(30)
        finally:
            left.set()
        return response

    async with serving_messages(handler) as server, messages_endpoint_of(kind, server) as endpoint:
        stream = endpoint.stream(ask())
        await anext(stream)
        await stream.aclose()
        await left.wait()


async def test_a_server_that_echoes_the_key(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kimi_agent")

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return refused(500, "api_error", f"headers: {dict(request.headers)}", **{"Retry-After": "0"})

    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, max_retries=1) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await drain(endpoint)
    assert "api_error" in str(caught.value) and KEY not in str(caught.value) + repr(endpoint) + caplog.text


async def test_real_requests_may_be_forbidden(kind: str) -> None:
    async with serving_messages(answering(HELLO)) as server, messages_endpoint_of(kind, server) as endpoint:
        with forbid_real_requests(), pytest.raises(UserError, match=r"'kimi-k2\.6' was asked while real requests are forbidden"):
            await drain(endpoint)
    assert server.bodies == [] and server.models_asked == 0


async def test_an_address_may_end_in_v1_and_a_price_is_counted(kind: str) -> None:
    async with serving_messages(answering(HELLO)) as server:
        server.url += "/v1"
        profile = Profile(price=Price(1e6, 1e6, 2e6))
        async with messages_endpoint_of(kind, server, profile=profile) as endpoint:
            usage = next(p.usage for p in await drain(endpoint) if isinstance(p, UsagePart))
    assert usage.cost_usd == 10 + 2 * 5


async def test_the_window_of_an_engine_is_asked_for_once(kind: str) -> None:
    models = {"data": [{"id": "kimi-k2.6", "max_model_len": 30_000}]}
    async with serving_messages(answering(HELLO), models=models) as server, messages_endpoint_of(kind, server) as endpoint:
        await drain(endpoint)
        await drain(endpoint)
        assert [m["id"] for m in await endpoint.list_models()] == ["kimi-k2.6"]
    assert server.models_asked == 2 and 29_000 < server.bodies[0]["max_tokens"] < 30_000


async def test_megabytes_go_through(kind: str) -> None:
    text = "0123456789abcdef" * (1 << 17)
    handler = answering(message({"type": "tool_use", "id": "t", "name": "x", "input": {"text": text}}, reason="tool_use"))
    async with serving_messages(handler) as server, messages_endpoint_of(kind, server, profile=FAST) as endpoint:
        parts = await drain(endpoint, ask(text))
    assert server.bodies[0]["messages"][0]["content"][0]["text"] == text
    assert json.loads(next(p.fragment for p in parts if isinstance(p, CallArguments))) == {"text": text}


def test_a_model_is_where_its_profile_says(kind: str) -> None:
    hosted = messages_profile("kimi-k2-0905-preview", "https://api.moonshot.ai/anthropic")
    coding = messages_profile("kimi-for-coding", "https://api.kimi.com/coding")
    own = messages_profile("kimi-k2.6", "http://127.0.0.1:8000")
    assert (hosted.temperature_scale, coding.temperature_scale, own.temperature_scale) == (0.6, 1.0, 1.0)
    assert (hosted.thinking, coding.thinking, own.thinking) == (None, "moonshot", "chat_template")
    assert hosted.call_ids == own.call_ids == "own" and hosted.image_in_tool_result and "native" not in hosted.output_modes
    assert repr(MessagesEndpoint("kimi-k2.6", api_key="k")) == (
        "MessagesEndpoint('kimi-k2.6', base_url='https://api.moonshot.ai/anthropic')"
    )
