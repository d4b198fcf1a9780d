"""How a script becomes K2's text, and how that is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kimi_backend.checkpoint.tiny import Call, TinyError, Turn
from kimi_backend.checkpoint.tiny.script import WINDOW, contexts, cut, wire_text
from kimi_backend.checkpoint.tiny.tokenizer import MARKERS

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
REPEATS = st.lists(st.sampled_from(["a", " a", "the ", "cat", ",", "\n", "好", "{}"]), max_size=40).map("".join)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b", "city"]), st.integers(0, 2) | TEXTS, max_size=3)
CALLS = st.builds(Call, st.sampled_from(["f", "get_weather", "a-b.c"]), ARGUMENTS)
MANY = settings(max_examples=150, deadline=None, database=None)


def begin(name: str, index: int, arguments: str) -> str:
    return f"<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


def section(*calls: str) -> str:
    return f"<|tool_calls_section_begin|>{''.join(calls)}<|tool_calls_section_end|>"


def test_calls_are_numbered_over_the_conversation() -> None:
    told = wire_text(
        [["Looking.", Call("a", {"x": "é"}), Call("b", '{"raw":1}')], section(begin("c", 2, "{}")), "Done.", Call("d")]
    )
    assert told == [
        "Looking." + section(begin("a", 0, '{"x": "é"}'), begin("b", 1, '{"raw":1}')),
        section(begin("c", 2, "{}")),
        "Done.",
        section(begin("d", 3, "{}")),
    ]


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([], "at least one turn"),
        (["Hello.", ""], "turn 2 says nothing"),
        ([[Call("f"), "text"]], "K2 says its text first"),
        (["It is <|im_end|> over"], "turn 1 holds <|im_end|>"),
        (["<|im_system|>"], "<|im_system|>"),
        (["\ud800"], "half of a character"),
        ([Call("f", {"x": object()})], "the call of f are no JSON"),
        ([Call("f", {"x": float("nan")})], "the call of f are no JSON"),
        ([Call("get weather")], "no parser of K2's calls reads the name 'get weather'"),
        ([Call("")], "no parser of K2's calls reads the name ''"),
        ([Call("f<|tool_call_end|>")], "no parser of K2's calls reads the name"),
    ],
)
def test_what_cannot_be_said(turns: list[Turn], said: str) -> None:
    with pytest.raises(TinyError, match=said.replace("|", r"\|")):
        wire_text(turns)


def test_text_is_cut_as_finely_as_it_can_be() -> None:
    assert cut(section(begin("get_weather", 0, '{"city": "Tokyo"}'))) == [
        "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "functions", ".", "get_weather", ":", "0",
        "<|tool_call_argument_begin|>", '{"', "city", '":', ' "', "Tokyo", '"}',
        "<|tool_call_end|>", "<|tool_calls_section_end|>", "<|im_end|>",
    ]  # fmt: skip


def test_markers_that_nothing_tells_apart_are_refused() -> None:
    again = "<|tool_call_end|><|tool_call_begin|>" * 6
    with pytest.raises(TinyError, match="comes twice and goes on differently"):
        cut(f"{again}a")


@MANY
@given(st.one_of(TEXTS, REPEATS).filter(bool))
def test_any_text_can_be_said(text: str) -> None:
    _holds(text)


@MANY
@given(st.lists(st.one_of(CALLS, st.just(Call("f", {"a": 1}))), min_size=1, max_size=5), REPEATS)
def test_any_calls_can_be_said(calls: list[Call], text: str) -> None:
    _holds(wire_text([[text, *calls]])[0])


def _holds(text: str) -> None:
    """The pieces are the text, and no WINDOW of pieces goes on in two ways."""
    pieces = cut(text)
    assert "".join(pieces) == f"{text}<|im_end|>"
    following: dict[tuple[str, ...], str] = {}
    said = ["<|im_assistant|>", "assistant", "<|im_middle|>", *pieces]
    for at in range(3, len(said)):
        window = tuple(said[max(0, at - WINDOW) : at])
        assert following.setdefault(window, said[at]) == said[at]
    assert [piece for _, piece in contexts(pieces)] == pieces
    assert all(piece in (*MARKERS, "<|im_end|>") or not any(m in piece for m in MARKERS) for piece in pieces)
