"""A real engine serves a scripted checkpoint and answers with a real K2 tool call. Opt-in: needs KIMI_ENGINES.

KIMI_ENGINES is the folder in which `tests/engine_environments.py vllm` made its environment.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serve_scripted import TOOL, Served, serve

pytestmark = pytest.mark.timeout(600)
ASK: list[dict[str, Any]] = [{"role": "user", "content": "What's the weather in Tokyo and in Oslo?"}]
ANSWER = "It is 20 degrees in Tokyo, and 3 in Oslo. 再见！"
ARGUMENTS = ['{"city": "Tokyo"}', '{"city": "Oslo"}']
IDS = ["functions.get_weather:0", "functions.get_weather:1"]


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two nodes, TP2"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    from kimi_backend.checkpoint.tiny import Call, make_scripted

    place = tmp_path_factory.mktemp("served")
    again = ["Let me see.", Call("get_weather", ARGUMENTS[0])]
    make_scripted(place / "k2", [[Call("get_weather", a) for a in ARGUMENTS], ANSWER, again])
    with serve(Path(os.environ["KIMI_ENGINES"]) / "vllm", place / "k2", place / "log", nodes=request.param) as found:
        print(f"started in {found.started:.1f} s")
        yield found


def history(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = [{"role": "tool", "tool_call_id": c["id"], "content": '{"city": "Tokyo", "degrees": 20}'} for c in calls]
    return [*ASK, {"role": "assistant", "content": None, "tool_calls": calls}, *results]


def assert_calls(message: dict[str, Any], number: int = 2) -> None:
    assert not message["content"]
    assert [c["id"] for c in message["tool_calls"]] == IDS[:number]
    assert [c["function"]["name"] for c in message["tool_calls"]] == ["get_weather"] * number
    assert [c["function"]["arguments"] for c in message["tool_calls"]] == ARGUMENTS[:number]


def test_the_first_answer_is_two_calls(served: Served) -> None:
    choice = served.choice(messages=ASK, tools=[TOOL])
    assert choice["finish_reason"] == "tool_calls"
    assert_calls(choice["message"])


def test_streamed_too(served: Served) -> None:
    message, reason = served.streamed(messages=ASK, tools=[TOOL])
    assert reason == "tool_calls"
    assert_calls(message)


def test_after_the_results_it_answers(served: Served) -> None:
    calls = served.choice(messages=ASK, tools=[TOOL])["message"]["tool_calls"]
    choice = served.choice(messages=history(calls), tools=[TOOL])
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", ANSWER)
    assert not choice["message"].get("tool_calls")
    message, reason = served.streamed(messages=history(calls), tools=[TOOL])
    assert (reason, message) == ("stop", {"content": ANSWER, "tool_calls": []})


def test_the_third_turn_says_something_and_calls(served: Served) -> None:
    calls = served.choice(messages=ASK, tools=[TOOL])["message"]["tool_calls"]
    more = [*history(calls), {"role": "assistant", "content": ANSWER}, {"role": "user", "content": "Are you sure?"}]
    message = served.choice(messages=more, tools=[TOOL])["message"]
    assert message["content"] == "Let me see."
    assert [(c["id"], c["function"]["arguments"]) for c in message["tool_calls"]] == [("functions.get_weather:2", ARGUMENTS[0])]


@pytest.mark.parametrize("strict", [False, True])
def test_the_script_passes_the_grammar_of_forced_calls(served: Served, strict: bool) -> None:
    function = {**TOOL["function"], "strict": strict}
    asked = {"messages": ASK, "tools": [{"type": "function", "function": function}]}
    assert_calls(served.choice(**asked, tool_choice="required")["message"])
    # A named function is called once: the grammar ends there, and so does the script.
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert_calls(served.choice(**asked, tool_choice=named)["message"], 1)


def test_many_at_once(served: Served) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: json.loads(served.post(messages=ASK, tools=[TOOL])), range(24)))
    seconds = time.monotonic() - begun
    for answer in found:
        assert_calls(answer["choices"][0]["message"])
    tokens = sum(answer["usage"]["completion_tokens"] for answer in found)
    print(f"{tokens} tokens in {seconds:.1f} s, {tokens / seconds:.0f} tokens/s at 8 at once")
