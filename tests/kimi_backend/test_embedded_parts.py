"""The embedded engine's parts that need no model: schemas, grammars, conversations, arguments."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from kimi_backend.embedded import EmbeddedError
from kimi_backend.embedded.answer import supplement
from kimi_backend.embedded.arguments import finish, invented, unsaid, valid
from kimi_backend.embedded.conversation import Tool, read
from kimi_backend.embedded.decide import gate
from kimi_backend.embedded.grammar import call_grammar, one_of, value_grammar
from kimi_backend.embedded.prompt import tool_lines
from kimi_backend.embedded.runtime import Completion
from kimi_backend.embedded.schema import resolve, type_text

USER = {"role": "user", "content": "hello"}
NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "who": {"$ref": "#/$defs/Person"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "kind": {"enum": ["a", "b", 3]},
    },
    "required": ["who"],
    "$defs": {
        "Person": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "friends": {"type": "array", "items": {"$ref": "#/$defs/Person"}}},
            "required": ["name"],
        }
    },
}


def completion(*tokens: tuple[str, dict[str, float]]) -> Completion:
    """A generation: each token with the probabilities that the model gave where it stands (its own is 1 if missing)."""
    top = [[(t, math.log(p)) for t, p in (odds or {token: 1.0}).items()] for token, odds in tokens]
    return Completion("".join(t for t, _ in tokens), top, [t.encode() for t, _ in tokens], "eos", 0, 0, len(tokens))


def test_importing_the_package_is_cheap() -> None:
    slow = ["xllamacpp", "aiohttp", "jsonschema", "rich", "typer"]
    code = f"import sys, kimi_backend.embedded; print([m for m in {slow} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_references_are_inlined_and_recursion_ends() -> None:
    schema = resolve(NESTED)
    assert "$defs" not in schema
    assert schema["properties"]["who"]["properties"]["name"] == {"type": "string"}
    json.dumps(schema)  # no cycle


def test_all_of_is_merged() -> None:
    parts: list[dict[str, Any]] = [
        {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"properties": {"b": {}}, "required": ["b"]},
    ]
    schema = resolve({"type": "object", "allOf": parts})
    assert list(schema["properties"]) == ["a", "b"]
    assert schema["required"] == ["a", "b"]


def test_types_are_short_and_readable() -> None:
    assert type_text({"type": "array", "items": {"type": "integer"}}) == "integer[]"
    assert type_text({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert type_text({"enum": ["km", "mi"]}) == '"km" | "mi"'
    schema = resolve({"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]})
    tool = Tool("send", "Send\n  a thing", schema)
    assert tool_lines([tool]).startswith("// Send a thing\nsend(to: string)\n")


def test_a_tool_without_arguments_admits_the_empty_object_only() -> None:
    assert 'root ::= " " "{}" "}"' in call_grammar(resolve({"type": "object", "properties": {}}), lead="")


def test_white_space_numbers_and_lists_are_bounded() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number"}, "l": {"type": "array", "items": {"type": "string"}}}}
    grammar = value_grammar({**schema, "required": ["n", "l"]})
    assert "{0,15}" in grammar
    assert "{0,23}" in grammar
    assert "ws" not in grammar
    assert value_grammar({"type": "integer", "minimum": 1, "maximum": 3}).count('"2"') == 1


def test_names_are_literals() -> None:
    assert one_of(['a"', 'b"']) == 'root ::= "a\\"" | "b\\""'


def test_the_gate_weighs_tools_against_the_end() -> None:
    top = [("get", math.log(0.6)), ("reply", math.log(0.3)), ("other", math.log(0.1))]
    assert gate(top, ["get_x"]) == pytest.approx(math.log(2))
    assert gate([("reply", 0.0)], ["get_x"]) == -20.0


OPTIONAL = resolve(
    {"type": "object", "properties": {"id": {"type": "string"}, "unit": {"enum": ["c", "f"]}}, "required": ["id"]},
)
LEAD = ' {"id":'


@pytest.mark.parametrize(
    ("go", "said", "kept"),
    [
        (0.99, "look at A1", True),  # sure
        (0.6, "look at A1", False),  # unsure, and nobody mentioned it
        (0.6, "look at A1 in f", True),  # unsure, but it was said
        (0.1, "look at A1 in f", False),
    ],
)
def test_an_optional_argument_must_be_sure_or_said(go: float, said: str, kept: bool) -> None:
    done = completion((' "', {}), ("A1", {}), ('",', {'",': go, '"}}': 1 - go}), (' "unit": "f"}}', {}))
    arguments = finish(done, OPTIONAL, said, LEAD)
    assert json.loads(arguments or "") == ({"id": "A1", "unit": "f"} if kept else {"id": "A1"})


def test_arguments_that_do_not_parse_or_fit_are_none() -> None:
    assert finish(completion((' "A1', {})), OPTIONAL, "", LEAD) is None
    assert finish(completion((" 3}}", {})), OPTIONAL, "", LEAD) is None
    assert valid({"anything": 1}, {"type": "no such type"})


def test_a_code_that_nobody_said_is_invented() -> None:
    assert invented('{"customer": 12345}', "what does Ann owe?")
    assert not invented('{"customer": 12345}', "what does customer 12,345 owe?")
    assert not invented('{"day": "monday", "seats": 2}', "a table for two")


def test_a_conversation_is_read_into_turns() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "do "}, {"type": "text", "text": "it"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "done"},
    ]
    conversation = read({"messages": messages})
    assert conversation.system == "Be brief."
    assert [(t.user, t.answer) for t in conversation.turns] == [("hello", "hi"), ("do it", None)]
    assert conversation.now.calls[0].result == "done"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [USER], "n": 2}, "one choice"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text only"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "wizard"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "9", "content": "x"}]}, "9"),
        ({"messages": [USER], "tool_choice": "required"}, "no tools"),
        ({"messages": [USER], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "g"),
        ({"messages": [USER], "tools": [{"type": "retrieval"}]}, "function"),
    ],
)
def test_a_wrong_body_is_named(body: dict[str, Any], says: str) -> None:
    with pytest.raises(EmbeddedError, match=says) as caught:
        read(body)
    assert caught.value.code == "invalid_request"
    assert "\n" not in str(caught.value)


def told(request: str, *results: Any) -> Any:
    calls = [
        {"id": str(i), "type": "function", "function": {"name": "f", "arguments": json.dumps({"n": f"N{i}"})}}
        for i in range(len(results))
    ]
    answers = [{"role": "tool", "tool_call_id": str(i), "content": json.dumps(r)} for i, r in enumerate(results)]
    return read({"messages": [{"role": "user", "content": request}, {"role": "assistant", "tool_calls": calls}, *answers]})


@pytest.mark.parametrize(
    ("conversation", "text", "added"),
    [
        (told("Too dry?", {"moisture": 33}), "Yes.", " (moisture: 33)"),
        (told("Too dry?", {"moisture": 33}), "No, it is at 33 %.", ""),
        (told("太干了吗？", {"moisture": 33}), "是的。", "（moisture: 33）"),
        (told("Order it.", {"order": "BC-427", "days": 3}), "It comes in 3 days.", " (order: BC-427)"),
        (told("Which level?", {"customer_id": 5512, "level": "gold"}), "Gold.", ""),
        (told("Both?", {"kg": 5}, {"kg": 71}), "The first has 5 kg.", " (N1: kg: 71)"),
        (told("Too dry?", {"error": "sensor offline"}), "I could not read it.", ""),
        (told("All?", {f"k{i}": i + 100 for i in range(20)}), "Many.", ""),
    ],
)
def test_an_answer_carries_the_data(conversation: Any, text: str, added: str) -> None:
    assert supplement(conversation, text) == added


@pytest.mark.parametrize(
    ("value", "said", "expected"),
    [
        (70, "am I too heavy?", True),
        (70, "I weigh 70 kg", False),
        (1, "get me one of them", False),
        (1, "the phone of Ann", True),
        ("ATCG", "which animal is this?", True),
        ("paint rollers", "how many paint roller do we have", False),
        ("Lyon", "从里昂出发", False),
    ],
)
def test_a_required_value_that_nobody_said(value: Any, said: str, expected: bool) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"x": {}, "unit": {"enum": ["kg"]}}, "required": ["x", "unit"]}
    assert unsaid(json.dumps({"x": value, "unit": "kg"}), schema, said) is expected
