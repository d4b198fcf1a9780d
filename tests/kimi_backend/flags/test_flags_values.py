"""Words as values. Expected: the examples in the engines' own documentation of each form."""

from __future__ import annotations

import pytest
from kimi_backend.engines.flags.values import convert
from pydantic import JsonValue


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        ("int-si", "1k", 1000),
        ("int-si", "1M", 1_000_000),
        ("int-si", "25.6k", 25_600),
        ("int-si", "1Ki", 1024),
        ("int-si", "1Mi", 1_048_576),
        ("int-suffix", "1k", 1000),
        ("int-suffix", "1K", 1024),
        ("int-suffix", "25.6k", 25_600),
        ("int-suffix-auto", "-1", -1),
        ("int-suffix-auto", "auto", -1),
        ("int", "-3", -3),
        ("float", "1e3", 1000.0),
        ("json-numbers", '{"cpu_bytes_to_use": 80m, "name": "80m"}', {"cpu_bytes_to_use": 80_000_000, "name": "80m"}),
        ("json-or-str", "plain", "plain"),
        ("json-or-str", '{"a": 1}', {"a": 1}),
        ("ids", "2, 3,GPU-a", [2, 3, "GPU-a"]),
        ("lower-underscore", "FlashInfer-TRTLLM", "flashinfer_trtllm"),
        ("str-none", "NONE", ""),
        ("str?", "None", None),
        ("int?", "", None),
        ("int?", "4", 4),
    ],
)
def test_a_word_is_the_value_that_the_engine_makes_of_it(kind: str, word: str, value: JsonValue) -> None:
    assert convert(kind, word) == value


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("int", "1.5"),
        ("int", ""),
        ("float", "x"),
        ("int-si", "1K"),
        ("int-si", "1.5Ki"),
        ("int-suffix", "1.5K"),
        ("int-suffix", "1Ki"),
        ("json", "{"),
        ("json-object", "[]"),
        ("json-numbers", "{a}"),
        ("json-or-str", "{x}"),
    ],
)
def test_a_word_that_the_engine_refuses_says_what_it_must_be(kind: str, word: str) -> None:
    with pytest.raises(ValueError, match=r"number|JSON"):
        convert(kind, word)
