"""Messages → wire bodies, checked exactly."""

import base64
import gc
import json
from typing import Any

import pytest

from kimi_agent.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from kimi_agent.models.base import Profile, ToolSpec
from kimi_agent.wire.openai_encode import Encoder, to_json

KIMI, OWN = Profile(call_ids="kimi"), Profile(call_ids="own")
CAT = Image(b"cat", "image/jpeg")
CAT_PART = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(b"cat").decode()}}


def wire(*messages: Message, profile: Profile = KIMI) -> list[dict[str, Any]]:
    return json.loads(Encoder(profile).messages(messages))


def two_calls(**fields: Any) -> AssistantMessage:
    raw = '{"city" :"北京"}'  # not as json.dumps would write it: it must stay so, or the prompt cache is lost
    return AssistantMessage(tool_calls=(ToolCall("c1", "get", raw, 3), ToolCall("c2", "put", "{}", 4)), **fields)


def test_a_conversation_with_kimi_ids() -> None:
    history = (
        SystemMessage("Be brief."),
        UserMessage("Hi", name="ann"),
        two_calls(text="Looking.", reasoning="hm"),
        ToolMessage("c1", "get", "sunny"),
        ToolMessage("c2", "put", "broken", is_error=True),
        AssistantMessage("Done."),
    )
    assert wire(*history) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": "Hi"},
        {
            "role": "assistant",
            "content": "Looking.",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "functions.get:3", "type": "function", "function": {"name": "get", "arguments": '{"city" :"北京"}'}},
                {"id": "functions.put:4", "type": "function", "function": {"name": "put", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "functions.get:3", "name": "get", "content": "sunny"},
        {"role": "tool", "tool_call_id": "functions.put:4", "name": "put", "content": "broken"},
        {"role": "assistant", "content": "Done."},
    ]


def test_own_ids() -> None:
    sent = wire(two_calls(), ToolMessage("c1", "get", "a"), ToolMessage("c2", "put", "b"), profile=OWN)
    assert [c["id"] for c in sent[0]["tool_calls"]] == ["c1", "c2"]
    assert [m["tool_call_id"] for m in sent[1:]] == ["c1", "c2"]


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_empty_content_beside_calls(text: str) -> None:  # 400 "text content is empty" (kosong 0.52.0)
    assert "content" not in wire(two_calls(text=text))[0]


@pytest.mark.parametrize(("reasoning", "sent"), [(None, {}), ("", {"reasoning_content": ""}), ("hm", {"reasoning_content": "hm"})])
def test_thoughts_go_back_and_empty_ones_too(reasoning: str | None, sent: dict[str, str]) -> None:
    message = wire(two_calls(reasoning=reasoning))[0]
    assert {k: v for k, v in message.items() if k == "reasoning_content"} == sent
    assert "reasoning_content" not in wire(two_calls(reasoning=reasoning), profile=Profile(echo_reasoning=False))[0]


def test_what_says_nothing_and_cut_calls_are_not_sent() -> None:
    cut = (ToolCall("c9", "get", '{"ci', 0),)
    assert wire(UserMessage("Hi"), AssistantMessage(reasoning="hm", cut_calls=cut), AssistantMessage("x", cut_calls=cut)) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "x"},
    ]


def test_text_is_a_string_and_images_make_parts() -> None:
    page = File(b"<p>", "a.html", "text/html")
    assert wire(UserMessage([Text("a"), page, "b"]))[0]["content"] == "a[a.html]\n<p>b"
    assert wire(UserMessage(["a", CAT, Image(url="ms://f1"), File(b"\0", "z.bin")]))[0]["content"] == [
        {"type": "text", "text": "a"},
        CAT_PART,
        {"type": "image_url", "image_url": {"url": "ms://f1"}},
        {"type": "text", "text": "[file z.bin, application/octet-stream, 1 bytes]"},
    ]
    blind = wire(UserMessage(["a ", CAT]), profile=Profile(image_input=False))
    assert blind[0]["content"] == "a [an image, which this model cannot see]"


def test_images_of_results_follow_all_results_of_the_turn() -> None:
    history = (two_calls(), ToolMessage("c1", "get", ["a cat", CAT]), ToolMessage("c2", "put", CAT), UserMessage("go on"))
    sent = wire(*history)
    assert [m["role"] for m in sent] == ["assistant", "tool", "tool", "user", "user", "user"]
    assert sent[1]["content"] == "a cat" and sent[2]["content"] == "The image follows."
    assert sent[3]["content"] == [{"type": "text", "text": "Image result of functions.get:3:"}, CAT_PART]
    assert sent[5] == {"role": "user", "content": "go on"}
    inside = wire(*history, profile=Profile(call_ids="kimi", image_in_tool_result=True))
    assert [m["role"] for m in inside] == ["assistant", "tool", "tool", "user"]
    assert inside[1]["content"] == [{"type": "text", "text": "a cat"}, CAT_PART]


def test_every_string_can_be_encoded() -> None:
    assert wire(UserMessage("a\ud800b \ud83d\ude00 \0"))[0]["content"] == "a\ufffdb 😀 \0"
    assert to_json({"k": "北京"}) == '{"k":"北京"}'.encode()


def test_each_message_is_encoded_once_and_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(KIMI)
    history: tuple[Message, ...] = (UserMessage("Hi"), two_calls(), ToolMessage("c1", "get", "a"), ToolMessage("c2", "put", "b"))
    first = encoder.messages(history)
    monkeypatch.setattr("kimi_agent.wire.openai_encode.to_json", lambda _: b'"again"')
    assert encoder.messages(history) == first
    assert encoder.messages((*history, UserMessage("more"))) == first[:-1] + b',"again"]'
    del history
    gc.collect()
    assert len(encoder._cache) == 0  # pyright: ignore[reportPrivateUsage]


def test_equal_messages_do_not_share_ids() -> None:  # the same result text under another call id
    encoder, call = Encoder(KIMI), ToolCall("c1", "get", "{}", 0)
    result = ToolMessage("c1", "get", "a")
    encoder.messages((AssistantMessage(tool_calls=(call,)), result))
    later = AssistantMessage(tool_calls=(ToolCall("c1", "get", "{}", 7),))  # another conversation that uses the same object
    assert json.loads(encoder.messages((later, result)))[1]["tool_call_id"] == "functions.get:7"


def test_tools() -> None:
    encoder = Encoder(KIMI)
    weather = ToolSpec("get", "Weather.", {"type": "object", "properties": {}})
    search = ToolSpec("$web_search", "", {"type": "object"})
    data = encoder.tools((weather, search))
    assert json.loads(data) == [
        {
            "type": "function",
            "function": {"name": "get", "description": "Weather.", "parameters": {"type": "object", "properties": {}}},
        },
        {"type": "builtin_function", "function": {"name": "$web_search"}},
    ]
    assert encoder.tools((weather, search)) is data
