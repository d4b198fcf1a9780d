"""`max_completion_tokens` is what the context has left."""

import base64
import json
import random
from typing import Any

import pytest
from aiohttp import web
from loopback import ask, delta, drain, endpoint_of, events, send, serving

from kimi_agent.messages import AssistantMessage, Image, SystemMessage, ToolCall, ToolMessage, UserMessage
from kimi_agent.models.base import ModelRequest, Profile, ToolSpec
from kimi_agent.models.budget import FLOOR, IMAGE_TOKENS, TokenEstimates, completion_budget, estimate_tokens
from kimi_agent.models.endpoint import ChatEndpoint
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.parts import UsagePart

PROSE = "The quick brown fox jumps over the lazy dog, and then it rests under an old tree for a while. "
CHINESE = "月之暗面是一家专注于通用人工智能的公司，致力于寻求将能源转化为智能的最优解。"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        # tokens that byte-pair tokenizers of 100k to 200k entries need for such text, and what would be wasteful
        (PROSE * 50, len(PROSE) * 50 / 4.6, len(PROSE) * 50 / 2.8),
        (CHINESE * 50, len(CHINESE) * 50 * 0.6, len(CHINESE) * 50 * 1.1),
        (json.dumps({"name": "Ann", "age": 30, "tags": ["a", "b"]}) * 50, 50 * 19, 50 * 45),
        (base64.b64encode(random.Random(7).randbytes(9000)).decode(), 12000 / 1.4, 12000),
        ("1234567890" * 100, 1000 / 3, 1001),
        ("🚀" * 100, 100, 400),
    ],
)
def test_estimates_are_high_but_not_wild(text: str, least: float, most: float) -> None:
    assert least <= estimate_tokens(text) <= most


def budget(window: int | None, profile: Profile | None = None, **fields: Any) -> int | None:
    request = ModelRequest(**{"messages": (UserMessage("x" * 3200),), **fields})
    told = completion_budget(request, profile or Profile(), window, TokenEstimates())
    return told.tokens if told is not None else None


def test_what_is_left() -> None:
    assert 8000 < (budget(10_000) or 0) < 9000
    assert budget(10_000, Profile(max_output=4096)) == 4096
    assert budget(10_000, settings=ModelSettings(max_tokens=100)) == 100


def test_what_the_endpoint_counted_is_not_estimated() -> None:
    history = (SystemMessage("s" * 320_000), UserMessage("Hi"), AssistantMessage("Hello."), UserMessage("?"))
    assert 89_600 < (budget(100_000, messages=history, known_tokens=10_000, known_messages=3) or 0) < 90_000
    assert budget(100_000, messages=history) == FLOOR


def test_nothing_left_leaves_it_to_the_endpoint() -> None:
    assert budget(500) == FLOOR
    assert budget(500, settings=ModelSettings(max_tokens=100)) == 100


def test_no_window_no_bound() -> None:
    assert budget(None) is None
    assert budget(None, settings=ModelSettings(max_tokens=100)) == 100


def test_everything_counts() -> None:
    bare = budget(100_000, messages=(UserMessage("Hi"),)) or 0
    tool = ToolSpec("get", "d" * 3200, {"type": "object", "properties": {"a" * 320: {"type": "string"}}})
    call = AssistantMessage(reasoning="r" * 3200, tool_calls=(ToolCall("c", "get", json.dumps({"a": "b" * 3200})),))
    assert (budget(100_000, messages=(UserMessage("Hi"),), tools=(tool,)) or 0) < bare - 1000
    assert (budget(100_000, messages=(UserMessage("Hi"), call, ToolMessage("c", "get", "x" * 3200))) or 0) < bare - 3000
    picture = UserMessage(["Hi", Image(b"\0" * 5_000_000)])
    assert bare - 2 * IMAGE_TOKENS < (budget(100_000, messages=(picture,)) or 0) <= bare - IMAGE_TOKENS


async def hello(request: web.Request, number: int) -> web.StreamResponse:
    usage = {"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "cached_tokens": 500_000}}
    return await send(request, events(delta("stop", content="x"), usage))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("models", "tokens"),
    [
        ({"data": [{"id": "kimi-k2.6", "max_model_len": 8192}]}, 8192),  # vLLM, SGLang: started with less than the model can do
        ({"data": [{"id": "other", "context_length": 1}, {"id": "kimi-k2.6", "context_length": 32768}]}, 32768),
        ({"data": [{"id": "served-by-another-name", "meta": {"n_ctx": 8192}}]}, 8192),
        ({"data": [{"id": "a"}, {"id": "b"}]}, 262144),
        ({"data": "nonsense"}, 262144),
        (None, 262144),  # 404
    ],
)
async def test_the_window_is_asked_for_once(models: Any, tokens: int) -> None:
    async with serving(hello, models=models) as server, endpoint_of("shared", server) as endpoint:
        for _ in range(3):
            await drain(endpoint)
        assert server.models_asked == 1
    assert tokens - 500 < server.bodies[0]["max_completion_tokens"] < tokens


@pytest.mark.anyio
async def test_a_model_that_nobody_knows_and_a_profile_of_ones_own() -> None:
    async with serving(hello) as server:
        await drain(ChatEndpoint("mystery", base_url=server.url))
        assert "max_completion_tokens" not in server.bodies[0]
        await drain(ChatEndpoint("mystery", base_url=server.url, profile=Profile(context_window=5000)))
        assert 4000 < server.bodies[1]["max_completion_tokens"] < 5000
        assert server.models_asked == 1


@pytest.mark.anyio
async def test_money_is_counted() -> None:
    from kimi_agent.models.base import Price

    async with serving(hello) as server:
        endpoint = ChatEndpoint("m", base_url=server.url, profile=Profile(price=Price(1.0, 0.1, 10.0)))
        usage = next(p.usage for p in await drain(endpoint, ask()) if isinstance(p, UsagePart))
    assert usage.cost_usd == pytest.approx(0.5 + 0.05 + 1.0)
