"""The real model: the default when the cache has it, else the small one. What is asserted here holds for both."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from kimi_backend.embedded import EmbeddedError, Engine, available, cached_path, open_engine

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.timeout(300),
    pytest.mark.skipif(available() is not None, reason="no runtime wheel here"),
]

Json = dict[str, Any]


def tool(name: str, description: str, schema: Json) -> Json:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


PARCEL = tool(
    "track_parcel",
    "Where a parcel is now",
    {"type": "object", "properties": {"code": {"type": "string", "description": "Tracking code"}}, "required": ["code"]},
)
BATTERY = tool("battery", "Battery charge of this device", {"type": "object", "properties": {}})
SHAPES: Json = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 40},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "size": {"$ref": "#/$defs/Size"},
        "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "minItems": 1, "maxItems": 3},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "due": {"type": "string", "format": "date"},
        "extra": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "required": ["title", "count", "size", "tags", "note", "due", "extra"],
    "additionalProperties": False,
    "$defs": {"Size": {"type": "object", "properties": {"w": {"type": "number"}, "h": {"type": "number"}}, "required": ["w", "h"]}},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("default" if cached_path("default") else "small") as opened:
        yield opened


def ask(engine: Engine, messages: list[Json], **body: Any) -> tuple[str, list[Json], str, Json]:
    """(text, calls, finish reason, usage) of a drained stream."""
    text, calls, reason, usage = "", list[Json](), "", dict[str, Any]()
    for chunk in engine.chat({"messages": messages, **body}):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            calls += choice["delta"].get("tool_calls") or []
            reason = choice["finish_reason"] or reason
    return text, calls, reason, usage


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def test_a_call_and_an_answer_that_carries_its_data(engine: Engine) -> None:
    code, hours = f"QX-{random.randint(1000, 9999)}", random.randint(30, 90)
    messages = [user(f"Where is my parcel {code}, and in how many hours will it be here?")]
    _, calls, reason, usage = ask(engine, messages, tools=[PARCEL])
    assert reason == "tool_calls"
    assert [c["function"]["name"] for c in calls] == ["track_parcel"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"code": code}
    assert usage["prompt_tokens"] > usage["prompt_tokens_details"]["cached_tokens"] > 500
    messages.append({"role": "assistant", "content": None, "tool_calls": calls})
    messages.append({"role": "tool", "tool_call_id": calls[0]["id"], "content": json.dumps({"hours_left": hours})})
    text, calls, reason, _ = ask(engine, messages, tools=[PARCEL])
    assert (calls, reason) == ([], "stop")
    assert str(hours) in text


def test_chat_is_answered_in_words_though_there_are_tools(engine: Engine) -> None:
    text, calls, reason, _ = ask(engine, [user("Hello! How are you?")], tools=[PARCEL, BATTERY])
    assert (calls, reason) == ([], "stop")
    assert text.strip()


def test_a_tool_without_arguments(engine: Engine) -> None:
    _, calls, _, _ = ask(engine, [user("电池还剩多少电？")], tools=[PARCEL, BATTERY])
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == [("battery", "{}")]


def test_a_call_that_must_be_fits_its_schema_whatever_it_is(engine: Engine) -> None:
    named = {"type": "function", "function": {"name": "make_label"}}
    tools = [PARCEL, tool("make_label", "Make a label", SHAPES)]
    _, calls, _, _ = ask(engine, [user("Make a label, you choose.")], tools=tools, tool_choice=named, parallel_tool_calls=False)
    assert [c["function"]["name"] for c in calls] == ["make_label"]
    jsonschema.validate(json.loads(calls[0]["function"]["arguments"]), SHAPES)
    _, calls, _, _ = ask(engine, [user("Hello!")], tools=[PARCEL], tool_choice="required")
    assert calls
    text, calls, _, _ = ask(engine, [user("Where is QX-1?")], tools=[PARCEL], tool_choice="none", max_tokens=20)
    assert not calls and text


def test_json_answers_fit_their_schema(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0},
            "role": {"enum": ["boss", "clerk"]},
        },
        "required": ["name", "age", "role"],
        "additionalProperties": False,
    }
    wanted: Json = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    text, _, reason, _ = ask(engine, [user("Ann is 31 and works as a clerk.")], response_format=wanted, temperature=0)
    assert reason == "stop"
    jsonschema.validate(json.loads(text), schema)
    assert json.loads(text)["age"] == 31
    body: Json = {"response_format": {"type": "json_object"}, "temperature": 0, "max_tokens": 200}
    text, _, reason, _ = ask(engine, [user('Write exactly {"name": "Ann"}')], **body)
    assert reason == "length" or isinstance(json.loads(text), dict)


def test_the_system_message_and_the_history_are_honoured(engine: Engine) -> None:
    system = {"role": "system", "content": "You are called Zorblax. Always say your name."}
    text, _, _, _ = ask(engine, [system, user("What is your name?")], temperature=0)
    assert "zorblax" in text.casefold()
    history = [user("My dog is called Pim."), {"role": "assistant", "content": "Nice!"}, user("What is my dog called?")]
    text, _, _, _ = ask(engine, history, tools=[PARCEL], temperature=0)
    assert "pim" in text.casefold()


def test_control_tokens_in_text_stay_text(engine: Engine) -> None:
    """With a real `<|im_end|>` the prompt would have one token for it; as text it takes six."""
    plain = ask(engine, [user("x")], max_tokens=1)[3]["prompt_tokens"]
    spelled = ask(engine, [user("x<|im_end|><|im_end|>")], max_tokens=1)[3]["prompt_tokens"]
    assert spelled - plain >= 8


def test_limits_stops_and_seeds(engine: Engine) -> None:
    text, _, reason, usage = ask(engine, [user("Count from 1 to 50.")], max_tokens=8)
    assert reason == "length" and usage["completion_tokens"] == 8
    text, _, reason, _ = ask(engine, [user("Write exactly: one, two, three, four")], stop=["three"], temperature=0)
    assert reason == "stop" and "three" not in text and "one" in text.casefold()
    # the first answer computes the prompt, the others find it computed: the last digits of the logits may differ
    names = [ask(engine, [user("Invent a name.")], seed=7, temperature=1.0, max_tokens=12)[0] for _ in range(3)]
    assert names[1] == names[2]


def test_cancelling_stops_soon_and_the_engine_goes_on(engine: Engine) -> None:
    cancelled = threading.Event()
    stream = engine.chat({"messages": [user("Write a long story.")]}, cancelled)
    next(stream)
    cancelled.set()
    start = time.monotonic()
    for _ in stream:
        pass
    assert time.monotonic() - start < 3
    stream = engine.chat({"messages": [user("Write a long story.")]})
    next(stream)
    stream.close()
    assert ask(engine, [user("hi")], max_tokens=3)[0]


def test_several_threads_take_turns(engine: Engine) -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(ask(engine, [user("hi")], max_tokens=3)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([t for t in texts if t]) == 3


def test_a_prompt_that_does_not_fit_is_refused_clearly(engine: Engine) -> None:
    with pytest.raises(EmbeddedError, match="context") as caught:
        ask(engine, [user("word " * 9000)])
    assert caught.value.code == "context_length_exceeded"
    assert ask(engine, [user("hi")], max_tokens=3)[0]


def test_a_closed_engine_says_so(engine: Engine) -> None:
    """Last in the file: it closes the shared engine."""
    engine.close()
    engine.close()
    with pytest.raises(EmbeddedError) as caught:
        ask(engine, [user("hi")])
    assert caught.value.code == "closed"
