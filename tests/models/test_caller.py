"""Plain calls of an address: what endpoints and Moonshot's extras are made of. Streams: tests/models/test_transports.py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from loopback import KEY, client_of, each_client

from kimi_agent.errors import (
    AuthenticationError,
    BadResponse,
    ConnectionFailed,
    Overloaded,
    ProviderTimeout,
    RateLimited,
    UserError,
)
from kimi_agent.models.caller import Caller
from kimi_agent.models.real_requests import forbid_real_requests
from kimi_agent.settings import Timeouts

CLIENTS = ("shared", "aiohttp", "httpx", "httpx2", "openai")
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", each_client(CLIENTS))]

Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def calling(kind: str, handler: Handler, **options: int) -> AsyncIterator[tuple[Caller, list[web.Request]]]:
    """A caller of a server that answers everything by `handler`, and the requests that came."""
    seen: list[web.Request] = []

    async def any_path(request: web.Request) -> web.StreamResponse:
        await request.read()
        seen.append(request)
        return await handler(request, len(seen) - 1)

    app = web.Application()
    app.router.add_route("*", "/v1/{path:.*}", any_path)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with client_of(kind, url) as client:
            yield Caller("kimi", base_url=url, api_key=KEY, client=client, **options), seen
    finally:
        await runner.cleanup()


async def echo(request: web.Request, number: int) -> web.StreamResponse:
    sent = {"method": request.method, "path": request.path_qs, "type": request.headers.get("content-type")}
    return web.json_response({**sent, "body": (await request.read()).decode(), "key": request.headers["authorization"]})


async def test_json_both_ways(kind: str) -> None:
    async with calling(kind, echo) as (caller, _):
        told = await caller.get_json("/users/me?x=1", caller.begin())
        assert (told["method"], told["path"], told["key"]) == ("GET", "/v1/users/me?x=1", f"Bearer {KEY}")
        told = await caller.post_json("/count", {"text": "北京"}, caller.begin())
        assert (told["method"], told["body"], told["type"]) == ("POST", '{"text":"北京"}', "application/json")


async def test_any_method_and_any_body(kind: str) -> None:
    async with calling(kind, echo) as (caller, seen):
        form = {"content-type": "application/octet-stream", "X-Mine": "1"}
        raw = await caller.ask("POST", "/files", caller.begin(), body=b"--b\r\n\r\nx", headers=form)
        assert b"application/octet-stream" in raw and seen[0].headers["X-Mine"] == "1"
        assert b'"method": "DELETE"' in await caller.ask("DELETE", "/files/f-1", caller.begin())


async def test_what_may_pass_is_tried_again_and_how_often_can_be_said(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await echo(request, number) if number == 2 else web.Response(status=503, headers={"Retry-After": "0"})

    async with calling(kind, handler) as (caller, seen):
        assert (await caller.get_json("/x", caller.begin()))["method"] == "GET" and len(seen) == 3
    async with calling(kind, handler) as (caller, seen):
        with pytest.raises(Overloaded):
            await caller.get_json("/x", caller.begin(), retries=1)
        assert len(seen) == 2
    async with calling(kind, handler, max_retries=0) as (caller, seen):
        with pytest.raises(Overloaded):
            await caller.post_json("/x", {}, caller.begin())
        assert len(seen) == 1


async def test_a_wait_that_is_longer_than_the_call_may_take_is_not_begun(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "30"})

    async with calling(kind, handler) as (caller, seen):
        with pytest.raises(RateLimited) as caught:
            await caller.get_json("/x", caller.begin(Timeouts(total=5)))
    assert caught.value.retry_after == 30 and len(seen) == 1


async def test_errors_say_what_to_do_and_not_the_key(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.json_response({"error": {"message": f"{KEY} is not known"}}, status=401)

    async with calling(kind, handler) as (caller, _):
        with pytest.raises(AuthenticationError, match="the key that was sent is not one for it") as caught:
            await caller.get_json("/x", caller.begin())
    assert KEY not in str(caught.value)


async def test_no_connection_and_a_client_that_was_closed(kind: str) -> None:
    nobody = "http://127.0.0.1:1/v1"
    async with client_of(kind, nobody) as client:
        caller = Caller("kimi", base_url=nobody, client=client)
        with pytest.raises(ConnectionFailed, match="Is it running, and is the base URL right"):
            await caller.ask("GET", "/x", caller.begin(), retries=0)
    with pytest.raises(ConnectionFailed if kind == "shared" else UserError):
        await caller.ask("GET", "/x", caller.begin(), retries=0)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000])
async def test_what_is_no_json(kind: str, body: bytes) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(body=body)

    async with calling(kind, handler) as (caller, seen):
        with pytest.raises(BadResponse, match=r"GET http://127\.0\.0\.1:\d+/v1/x gave no JSON: is the base URL right\?"):
            await caller.get_json("/x", caller.begin())
    assert len(seen) == 1


async def test_the_clock_holds(kind: str) -> None:
    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with calling(kind, handler, max_retries=0) as (caller, _):
        with pytest.raises(ProviderTimeout, match="first byte"):
            await caller.get_json("/x", caller.begin(Timeouts(first_byte=0.1)))


async def test_the_ban_of_real_requests_holds(kind: str) -> None:
    async with calling(kind, echo) as (caller, seen):
        clock = caller.begin()
        with forbid_real_requests():
            with pytest.raises(UserError, match="'kimi' was asked while real requests are forbidden"):
                caller.begin()
            with pytest.raises(UserError, match="forbidden"):
                await caller.get_json("/x", clock)
    assert seen == []
