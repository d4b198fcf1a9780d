"""Schemas that a stranger wrote, such as an MCP server: none may hold the event loop, and those that others take are taken."""

import re
from typing import Any

import pytest

from kimi_agent import ToolDefinitionError, tool
from kimi_agent.tooling.patterns import compiled
from kimi_agent.tooling.signature import InvalidArguments


def told(schema: dict[str, Any], **arguments: Any) -> str:
    """What the tool's own check says, before anything is repaired."""

    def f(**a: Any) -> None: ...

    try:
        tool(f, parameters={"type": "object", **schema}).validate(arguments)
    except InvalidArguments as e:
        return str(e)
    return "taken"


def doubled(keyword: str, levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_a_schema_that_grows_at_each_reference_is_refused(keyword: str) -> None:
    with pytest.raises(ToolDefinitionError, match="f: parameters come to over a trillion schemas for one value"):
        _ = tool(lambda a: a, name="f", parameters=doubled(keyword, 60)).parameters


def test_a_schema_that_grows_within_reason_is_taken() -> None:
    assert told(doubled("allOf", 4), a="x") == "taken"
    shared = {"type": "object", "properties": {k: {"$ref": "#/$defs/d1"} for k in "abcdefghij"}}
    properties = {f"d{i}": {**shared, "properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "abcdefghij"}} for i in range(30)}
    wide = {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**properties, "d30": {"type": "string"}}}
    assert told(wide, a={"a": {"b": {}}}) == "taken", "properties are checked only where the arguments have them"


def test_arguments_that_multiply_branches_are_given_up() -> None:
    branch = {"properties": {"a": {"$ref": "#/$defs/node"}}}
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    text = told({"$defs": {"node": {"type": "object", "allOf": [branch, branch]}}, **branch}, **deep)
    assert "too many branches for these arguments" in text


def test_many_values_are_not_too_many() -> None:
    items = {"type": "array", "items": {"$ref": "#/$defs/n"}}
    assert told({"properties": {"a": items}, "$defs": {"n": {"type": "integer", "minimum": 0}}}, a=[1] * 20_000) == "taken"


def test_too_many_levels() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(3000):
        deep = {"type": "object", "properties": {"a": deep}}
    with pytest.raises(ToolDefinitionError, match="f: parameters have too many levels"):
        _ = tool(lambda a: a, name="f", parameters=deep).parameters


SLOW = "^(a+)+$"  # Python's `re` would take longer than the universe has been there
TEXT = "a" * 90 + "!"
PATTERNED = {"type": "string", "pattern": SLOW}


@pytest.mark.parametrize(
    ("schema", "text", "problem"),
    [
        ({"properties": {"k": PATTERNED}}, "k", "does not match"),
        ({"properties": {"k": {"$schema": "http://json-schema.org/draft-07/schema#", **PATTERNED}}}, "k", "does not match"),
        ({"patternProperties": {SLOW: {}}, "additionalProperties": False}, TEXT, "do not match any|were unexpected|was unexpected"),
        ({"patternProperties": {SLOW: {}}, "unevaluatedProperties": False}, TEXT, "^taken$"),
        ({"propertyNames": {"pattern": SLOW}}, TEXT, "does not match"),
        ({"properties": {"k": {"type": "string", "pattern": "^(?=a)(a+)+$"}}}, "k", "^taken$"),
        ({"properties": {"k": {"type": "string", "pattern": "^(?=a)" + "(a|a)" * 60 + "$"}}}, "k", "^taken$"),
    ],
)
def test_no_pattern_holds_the_loop(schema: dict[str, Any], text: str, problem: str) -> None:
    assert re.search(problem, told(schema, **{text: TEXT}))


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^[a-z]{2,5}$", "abc", "a"),
        ("b", "abc", "ac"),
        (r"^(?=.*[A-Z])(?=.*\d).{8,}$", "Passw0rds", "passwords"),
        (r"^(\w)\1$", "aa", "ab"),
        (r"^[^\n]+$", "a" * 50_000, ""),
    ],
)
def test_patterns_mean_what_they_did(pattern: str, good: str, bad: str) -> None:
    schema = {"properties": {"k": {"type": "string", "pattern": pattern}}}
    assert told(schema, k=good) == "taken"
    assert "does not match" in told(schema, k=bad)


def test_pattern_properties_mean_what_they_did() -> None:
    schema = {"properties": {"a": {}}, "patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": False}
    assert told(schema, a=1, x_1=1) == "taken"
    assert "x_1: 'q' is not of type 'integer'" in told(schema, x_1="q")
    assert "'other'" in told(schema, other=1)
    others = {**schema, "additionalProperties": {"type": "string"}}
    assert "other: 1 is not of type 'string'" in told(others, other=1)


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [("^(?=a)(a+)+$", -1), ("(?=a)(a|b)", 200), ("(?=.*a)(?=.*b)(?=.*c)", 40), ("(?=a)" + "(a|a)" * 40, -1), ("(", -1)],
)
def test_patterns_that_backtrack_search_what_they_can(pattern: str, longest: int) -> None:
    assert (compiled(pattern).longest >= longest) if longest > 0 else (compiled(pattern).longest == longest)
    assert compiled(pattern).longest <= 200


def test_tuples_of_draft_07_without_its_name() -> None:
    schema = {"properties": {"p": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}]}}}
    assert told(schema, p=[1, "a"]) == "taken"
    assert "p.1: 2 is not of type 'string'" in told(schema, p=[1, 2])
    assert "p.0" in told({"properties": {"p": {"prefixItems": [{"type": "integer"}]}}}, p=["a"]), "2020-12 comes first"


def test_references_in_the_spelling_of_urls() -> None:
    schema = {
        "properties": {"n": {"$ref": "#/$defs/a%20b"}, "m": {"$ref": "#/$defs/c%25~1d"}},
        "$defs": {"a b": {"type": "integer"}, "c%/d": {"type": "string"}},
    }
    assert told(schema, n=1, m="x") == "taken"
    assert "n: 'x' is not of type 'integer'" in told(schema, n="x")
    with pytest.raises(ToolDefinitionError, match="leads nowhere"):
        told({"properties": {"n": {"$ref": "#/$defs/a%20c"}}, "$defs": {"a b": {}}})


def test_anchors_and_unevaluated_properties() -> None:
    schema = {
        "allOf": [{"$ref": "#base"}],
        "$defs": {"base": {"$anchor": "base", "properties": {"a": {"type": "integer"}}}},
        "unevaluatedProperties": False,
    }
    assert told(schema, a=1) == "taken"
    assert "Unevaluated properties are not allowed" in told(schema, b=1)
