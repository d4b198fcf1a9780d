"""Settings → the fields of a request, exactly."""

import json
import logging
from typing import Any

import pytest

from kimi_agent.errors import UserError
from kimi_agent.messages import UserMessage
from kimi_agent.models.base import ModelRequest, Profile, ToolSpec
from kimi_agent.models.profiles import profile_for
from kimi_agent.models.request_body import request_body
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.openai_encode import Encoder

MOONSHOT, SELF = "https://api.moonshot.ai/v1", "http://10.0.0.1:30000/v1"
GET = ToolSpec("get", "", {"type": "object"})


def fields(
    model: str = "some-model", url: str = SELF, *, tools: tuple[ToolSpec, ...] = (), max_tokens: int | None = None, **settings: Any
) -> dict[str, Any]:
    """The body's fields beside model, messages and streaming."""
    request = ModelRequest(messages=(UserMessage("Hi"),), tools=tools, settings=ModelSettings(**settings), conversation_id="conv-1")
    profile: Profile = profile_for(model, url)
    body = json.loads(
        request_body(
            request, model=model, profile=profile, encoder=Encoder(profile), max_tokens=max_tokens, moonshot=url == MOONSHOT
        )
    )
    assert body.pop("model") == model and body.pop("messages")
    body.pop("tools", None)
    return {k: v for k, v in body.items() if k not in ("stream", "stream_options")}


def test_nothing_said_nothing_sent() -> None:
    assert fields() == {}
    assert fields(url=MOONSHOT) == {"prompt_cache_key": "conv-1"}


def test_all_settings() -> None:
    assert fields(
        temperature=0.5,
        top_p=0.9,
        stop=("a", "b"),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        reasoning_effort="high",
        response_format={"type": "json_object"},
        tool_choice="required",
        parallel_tool_calls=False,
        tools=(GET,),
        max_tokens=99,
    ) == {
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "reasoning_effort": "high",
        "response_format": {"type": "json_object"},
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_completion_tokens": 99,
    }
    assert fields(stop="x") == {"stop": "x"}


def test_tool_choice_by_name_and_without_tools() -> None:
    assert fields(tools=(GET,), tool_choice="get") == {"tool_choice": {"type": "function", "function": {"name": "get"}}}
    assert fields(tools=(GET,), tool_choice="none") == {"tool_choice": "none"}
    assert fields(tool_choice="auto") == {}  # endpoints refuse it without tools
    with pytest.raises(UserError, match=r"'put' names no tool .* get"):
        fields(tools=(GET,), tool_choice="put")


def test_extra_body_comes_last() -> None:
    extra = {"top_k": 5, "temperature": 1, "max_tokens": 3, "messages": [1]}
    assert json.loads(json.dumps(fields(temperature=0, max_tokens=99, extra_body={**extra}))) == {
        "top_k": 5,
        "temperature": 1,
        "max_tokens": 3,  # and no max_completion_tokens beside it
    }


def test_fixed_sampling_is_left_out_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kimi_agent")
    assert "temperature" not in fields("kimi-k2.6", MOONSHOT, temperature=0.6, top_p=1)
    assert "temperature is fixed by kimi-k2.6" in caplog.text
    assert fields("moonshotai/Kimi-K2.6", SELF, temperature=0.6) == {"temperature": 0.6}


@pytest.mark.parametrize("wanted", [True, False])
def test_thinking_each_endpoints_way(wanted: bool) -> None:
    sent = fields("kimi-k2.6", MOONSHOT, thinking=wanted)
    assert sent["thinking"] == {"type": "enabled" if wanted else "disabled"}
    sent = fields("moonshotai/Kimi-K2.6", SELF, thinking=wanted, extra_body={"chat_template_kwargs": {"x": 1}})
    assert sent == {"chat_template_kwargs": {"thinking": wanted, "x": 1}}


def test_thinking_that_cannot_be_switched() -> None:
    assert fields("kimi-k2-thinking", thinking=True) == {} == fields("kimi-k2-0905-preview", thinking=False)
    with pytest.raises(UserError, match="always thinks"):
        fields("kimi-k2-thinking", thinking=False)
    with pytest.raises(UserError, match="extra_body"):
        fields("kimi-k2-0905-preview", thinking=True)


def test_a_forced_call_while_the_model_thinks() -> None:  # 400 "tool_choice … is incompatible with thinking enabled"
    for choice in ("required", "get"):
        with pytest.raises(UserError, match="set thinking=False"):
            fields("kimi-k2.6", MOONSHOT, tools=(GET,), tool_choice=choice)
    assert fields("kimi-k2.6", MOONSHOT, tools=(GET,), tool_choice="required", thinking=False)["tool_choice"] == "required"
    assert fields("kimi-k3", MOONSHOT, tools=(GET,), tool_choice="required")["tool_choice"] == "required"
    with pytest.raises(UserError, match="use tool_choice='auto'"):
        fields("kimi-k2-thinking", tools=(GET,), tool_choice="required")
