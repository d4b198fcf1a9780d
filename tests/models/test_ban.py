"""What else than a turn is sent to a real endpoint is forbidden too."""

import asyncio

import pytest
from aiohttp import web
from loopback import ask, delta, drain, error, events, send, serving

from kimi_agent import ChatEndpoint, UserError
from kimi_agent.testing import forbid_real_requests

pytestmark = pytest.mark.anyio
MODELS = {"data": [{"id": "m", "max_model_len": 4096}]}


async def hello(request: web.Request, number: int) -> web.StreamResponse:
    return await send(request, events(delta(content="Hello."), delta("stop")))


async def test_the_list_of_models_is_not_asked_for() -> None:
    async with serving(hello, models=MODELS) as server:
        for endpoint in (ChatEndpoint("m", base_url=server.url), ChatEndpoint("", base_url=server.url)):
            with forbid_real_requests(), pytest.raises(UserError, match="forbidden"):
                await endpoint.list_models()
        assert server.models_asked == 0
        assert [m["id"] for m in await endpoint.list_models()] == ["m"]


async def test_the_size_of_the_context_is_not_asked_for_and_is_afterwards() -> None:
    async with serving(hello, models=MODELS) as server:
        endpoint = ChatEndpoint("m", base_url=server.url)
        turn = endpoint.stream(ask())
        begun = asyncio.ensure_future(anext(turn))
        await asyncio.sleep(0)  # the turn was allowed; what it sends comes later
        with forbid_real_requests(), pytest.raises(UserError, match="forbidden"):
            await begun
        assert (server.models_asked, server.bodies) == (0, [])
        await drain(endpoint)
        assert server.models_asked == 1


async def test_a_try_after_the_ban_is_not_made() -> None:
    ban = forbid_real_requests()

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        ban.__enter__()
        return error(503, "engine_overloaded_error", "busy", **{"Retry-After": "0"})

    async with serving(handler, models=MODELS) as server:
        try:
            with pytest.raises(UserError, match="forbidden"):
                await drain(ChatEndpoint("m", base_url=server.url))
        finally:
            ban.__exit__(None, None, None)
        assert len(server.bodies) == 1
