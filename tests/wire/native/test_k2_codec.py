"""Kimi K2's own text → parts: what engines and models are known to write, cut at any place."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_parts import merged, pieces

from kimi_agent.wire.native.k2 import K2Codec
from kimi_agent.wire.native.markers import (
    ARGUMENTS_BEGIN as ARGS,
)
from kimi_agent.wire.native.markers import (
    CALL_BEGIN as CALL,
)
from kimi_agent.wire.native.markers import (
    CALL_END as END,
)
from kimi_agent.wire.native.markers import K2
from kimi_agent.wire.parts import CallArguments, CallBegin, CallEnd, Finish, ReasoningPart, TextPart, WirePart

BEGIN, OVER = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
ONE_BEGIN, ONE_OVER = "<|tool_call_section_begin|>", "<|tool_call_section_end|>"
ROME = '{"city": "Rome"}'


def read(text: str, size: int = 0, *, thinking: bool = False) -> list[WirePart]:
    codec = K2Codec(thinking=thinking)
    chunks = pieces(text, size) if size else [text]
    return merged([*(part for chunk in chunks for part in codec.feed(chunk)), *codec.end("stop")])


def call(key: int, name: str, arguments: str = ROME, raw_id: str | None = None, *, cut: bool = False) -> list[WirePart]:
    fragments: list[WirePart] = [CallArguments(key, arguments)] if arguments else []
    return [CallBegin(key, name, raw_id or f"functions.{name}:{key}"), *fragments, CallEnd(key, cut)]


CASES: dict[str, tuple[str, list[WirePart]]] = {
    # Kimi-K2 docs/tool_call_guidance.md
    "a section": (f"Hm.{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{OVER}", [TextPart("Hm."), *call(0, "a")]),
    "two calls": (
        f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{CALL}functions.b:1{ARGS}{{}}{END}{OVER}",
        [*call(0, "a"), *call(1, "b", "{}")],
    ),
    # llama.cpp#17376, #16932
    "singular markers": (f"{ONE_BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{ONE_OVER}", call(0, "a")),
    # opencode#1021
    "no section end": (f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}", call(0, "a")),
    "no section at all": (f"{CALL}functions.a:0{ARGS}{ROME}{END}", call(0, "a")),
    # Kimi-K2 tool_calls_eval.py reads only the first section
    "two sections": (
        f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{OVER}\n{BEGIN}{CALL}functions.b:1{ARGS}{ROME}{END}{OVER}",
        [*call(0, "a"), TextPart("\n"), *call(1, "b")],
    ),
    # sglang#19552: hyphens; the official recipe cuts names at a dot
    "hyphens and dots": (f"{BEGIN}{CALL}functions.my-cal.new:0{ARGS}{ROME}{END}{OVER}", call(0, "my-cal.new")),
    "no prefix": (f"{BEGIN}{CALL}search:0{ARGS}{ROME}{END}{OVER}", call(0, "search", raw_id="search:0")),
    # SGLang: `^\d+$`
    "a bare counter": (f"{BEGIN}{CALL}2{ARGS}{ROME}{END}{OVER}", call(0, "", raw_id="2")),
    # sglang#37775: client-style ids
    "an id of another family": (f"{CALL}call_abc123{ARGS}{ROME}{END}", call(0, "call_abc123", raw_id="call_abc123")),
    "spaces and lines between": (
        f"{BEGIN}\n{CALL} functions.a:0 {ARGS}{ROME}{END}\n{OVER}\n",
        [*call(0, "a"), TextPart("\n")],
    ),
    # sglang#19120: DOTALL
    "lines in arguments": (f'{CALL}functions.a:0{ARGS}{{\n "x": 1\n}}{END}', call(0, "a", '{\n "x": 1\n}')),
    "no marker before the arguments": (f"{CALL}functions.a:0{ROME}{END}", call(0, "a")),
    "fenced arguments": (f"{CALL}functions.a\n```json\n{ROME}\n```{END}", call(0, "a", f"```json\n{ROME}\n```", "functions.a")),
    "no end of the first call": (
        f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{CALL}functions.b:1{ARGS}{ROME}{OVER}",
        [*call(0, "a"), *call(1, "b")],
    ),
    "no arguments": (f"{CALL}functions.a:0{ARGS}{END}", call(0, "a", "")),
    "text behind": (f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{OVER}So.", [*call(0, "a"), TextPart("So.")]),
    "cut in the arguments": (f'{BEGIN}{CALL}functions.a:0{ARGS}{{"city": "Ro', call(0, "a", '{"city": "Ro', cut=True)),
    "cut in the id": (f"{BEGIN}{CALL}functions.ge", call(0, "ge", "", "functions.ge", cut=True)),
    "whole arguments at the end of the text": (f"{CALL}functions.a:0{ARGS}{ROME}", call(0, "a")),
    "markers inside a string": (
        f'{CALL}functions.a:0{ARGS}{{"text": "{END} and {OVER} end it"}}{END}{OVER}',
        call(0, "a", f'{{"text": "{END} and {OVER} end it"}}'),
    ),
    "a string that never ends": (
        f'{BEGIN}{CALL}functions.a:0{ARGS}{{"x": "oops}}{END}{CALL}functions.b:1{ARGS}{{"x": "y"}}{END}{OVER}So.',
        [*call(0, "a", '{"x": "oops}'), *call(1, "b", '{"x": "y"}'), TextPart("So.")],
    ),
    "the end of the message": ("Yes.<|im_end|><|im_user|>user<|im_middle|>No", [TextPart("Yes.")]),
    "a marker without a section": (f"{CALL}is how a call begins", [TextPart("is how a call begins")]),
    "what only looks like a marker": ("a <b <| c <|tool", [TextPart("a <b <| c <|tool")]),
    "talk in a fence": (
        f"```\n{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{OVER}\n```\nSo.",
        [TextPart(f"```\n{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}{OVER}\n```\nSo.")],
    ),
    "talk in a fence, and space behind the call": (
        f"```\n{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}\n \n{OVER}\n So.",
        [TextPart(f"```\n{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END}\n \n{OVER}\n So.")],
    ),
    "talk that only begins a call": (f"`{CALL} and so on`.", [TextPart(f"`{CALL} and so on`.")]),
    "a call behind code that never ends": (
        f"Press ` and {CALL}functions.a:0{ARGS}{ROME}{END}\n",
        [TextPart("Press ` and "), *call(0, "a")],
    ),
    "talk in a code span": (f"A `{END}` ends it.", [TextPart(f"A `{END}` ends it.")]),
    "thought": ("<think>Hm.</think>Yes.", [ReasoningPart("Hm."), TextPart("Yes.")]),
    "no thought": ("<think></think>Yes.", [ReasoningPart(""), TextPart("Yes.")]),
    "thought on a later line": ("So.\n <think>Hm.</think>Yes.", [TextPart("So.\n "), ReasoningPart("Hm."), TextPart("Yes.")]),
    "thought behind a call": (
        f"Hm.{CALL}functions.a:0{ARGS}{ROME}{END}<think>Ok.",
        [TextPart("Hm."), *call(0, "a"), ReasoningPart("Ok.")],
    ),
    "talk of tags": (
        "Use <think> and </think>, or </think> <think>.",
        [TextPart("Use <think> and </think>, or </think> <think>.")],
    ),
    "talk of tags in thought": (
        "<think>A <think> tag.\n<think>Hm.</think>Yes.",
        [ReasoningPart("A <think> tag.\nHm."), TextPart("Yes.")],
    ),
    "an end of no thought that begins a line": ("</think>So.\n </think>Yes.", [TextPart("So.\n Yes.")]),
    "an end of no thought that ends a line": ("So.</think> \t</think>\r\nYes.</think> ", [TextPart("So. \t\r\nYes. ")]),
    "an end of no thought before a call": (
        f"So.</think> {CALL}functions.a:0{ARGS}{ROME}{END}",
        [TextPart("So. "), *call(0, "a")],
    ),
    "an end of no thought before the end of the message": ("So.</think><|im_end|>Yes", [TextPart("So.")]),
    "white space before what is no call": (f"{BEGIN}\n {CALL} \n a \n b", [TextPart(" \n a \n b")]),
    "white space before what is no section": (f"{BEGIN} \n So.", [TextPart(" \n So.")]),
    "white space at the end of a section": (f"{BEGIN}{CALL}functions.a:0{ARGS}{ROME}{END} \n", [*call(0, "a"), TextPart(" \n")]),
    "cut behind the id": (f"{CALL} functions.a:0 \n<|tool_call_arg", call(0, "a", "", cut=True)),
    "talk whose string never ends": (
        f'`{BEGIN}{CALL}functions.a:0{ARGS}{{"x": "oops{END} and so on',
        [TextPart(f'`{BEGIN}{CALL}functions.a:0{ARGS}{{"x": "oops{END} and so on')],
    ),
    "talk of many sections": (
        "`" + f"{BEGIN}{CALL}a{ARGS}{{}}{END}{OVER}\n" * 3 + "So.",
        [TextPart("`" + f"{BEGIN}{CALL}a{ARGS}{{}}{END}{OVER}\n" * 3 + "So.")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_read_the_same_however_it_is_cut(name: str) -> None:
    text, expected = CASES[name]
    for size in range(len(text) + 1):
        assert read(text, size) == [*expected, Finish("stop")], size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hm.</think>Yes.", [ReasoningPart("Hm."), TextPart("Yes.")]),
        ("A ` in it.</think>Yes.", [ReasoningPart("A ` in it."), TextPart("Yes.")]),
        ("</think>Yes.", [ReasoningPart(""), TextPart("Yes.")]),
        ("Hm.", [ReasoningPart("Hm.")]),
        # vllm#32216, Kimi-K2#89: no </think> before the call
        (f"Hm.{CALL}functions.a:0{ARGS}{ROME}{END}", [ReasoningPart("Hm."), *call(0, "a")]),
    ],
)
def test_a_prompt_that_ended_in_thought(text: str, expected: list[WirePart]) -> None:
    for size in range(len(text) + 1):
        assert read(text, size, thinking=True) == [*expected, Finish("stop")]


# vllm#41182: a section above 8 kB was dropped
def test_there_is_no_longest_call() -> None:
    arguments = json.dumps({"text": "x" * 1_000_000})
    assert read(f"{BEGIN}{CALL}functions.a:0{ARGS}{arguments}{END}{OVER}", 1000)[:-1] == call(0, "a", arguments)


# What is read again with each piece takes minutes here: the limit of a test's time finds it.
@pytest.mark.parametrize("before", [BEGIN, CALL, f"{CALL}functions.a:0", f"{CALL}functions.a:0{ARGS}{{}}{END}"])
def test_a_long_run_of_white_space_in_small_pieces(before: str) -> None:
    behind = " \n" * 300_000 + "So it is."
    begun = "functions.a:0" if before.endswith("a:0") else ""
    assert read(before + behind, 4)[-2:] == [TextPart(begun + behind), Finish("stop")]


@pytest.mark.slow
def test_a_long_doubt_in_small_pieces() -> None:
    text = f"`{BEGIN}{CALL}functions.a:0{ARGS}{json.dumps({'x': 'y' * 2_000_000})}{END}{OVER}" + "\n" * 2_000_000 + "`"
    assert read(text, 4) == [TextPart(text), Finish("stop")]


PIECES = [
    *K2, "functions.", "a:0", "functions.a:0\n{", "{", "}", '{"x": 1}', '"', "\\", "<", "<|", "|>", "`",
    " ", " " * 520, "\t", "\n", "\n\n", "\r\n",
]  # fmt: skip
MARKED = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=20).map("".join)


@settings(max_examples=400, deadline=None)
@given(MARKED, st.integers(1, 9), st.booleans())
@example(f'{CALL}functions.a:0{ARGS}"{END}"{END}{CALL}', 1, False)
@example(f"`{BEGIN}{ARGS}", 1, False)
def test_any_text_is_read_without_fail_and_the_same_however_it_is_cut(text: str, size: int, thinking: bool) -> None:
    assert read(text, size, thinking=thinking) == read(text, thinking=thinking)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
# Not st.recursive: it reads the source of its function, and warns if the file has changed since it was imported.
JSON = st.dictionaries(st.text(max_size=5), SCALARS | containers(SCALARS | containers(SCALARS)), max_size=3)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,20}", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, JSON), max_size=4), st.integers(1, 50))
def test_what_was_written_as_calls_is_read_as_those_calls(calls: list[tuple[str, dict[str, Any]]], size: int) -> None:
    written = [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in calls]
    inside = "".join(f"{CALL}functions.{name}:{i}{ARGS}{arguments}{END}" for i, (name, arguments) in enumerate(written))
    parts = read(f"Hm.{BEGIN}{inside}{OVER}", size)
    expected = [part for i, (name, arguments) in enumerate(written) for part in call(i, name, arguments)]
    assert parts == [TextPart("Hm."), *expected, Finish("stop")]
