"""Keywords whose cost is not in their number: what they compare, go through and quote is paid for too."""

from typing import Any

import pytest
from jsonschema.exceptions import SchemaError

from kimi_agent.tooling.json_checker import TooCostlyError, checker, dialect_of

COLLIDING = [n * (2**61 - 1) for n in range(1, 20_001)]  # all of one hash in CPython: a set of them is a list


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    return [e.message for e in checker(schema, dialect_of(schema), follows_all=True)(value)]


@pytest.mark.parametrize(
    ("items", "same"),
    [
        ([1, 1.0], True),
        ([1, True], False),
        ([0, False, None, "", [], {}], False),
        ([0.0, -0.0], True),
        ([1.5, 1.25], False),
        (["1", 1], False),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], True),
        ([{"a": 1}, {"a": True}], False),
        ([[1, 2], [2, 1]], False),
        (["é", "e\u0301"], False),
        ([{"a,b": 1}, {"a": 1, "b": 1}], False),
        ([2**70, float(2**70)], True),
    ],
)
def test_equal_means_what_json_schema_says(items: list[Any], same: bool) -> None:
    assert bool(problems({"uniqueItems": True}, items)) is same
    first, *rest = items
    assert bool(problems({"enum": rest}, first)) is not same
    assert bool(problems({"const": rest[0]}, first)) is not same


def test_messages_of_comparisons_stay() -> None:
    assert problems({"uniqueItems": True}, [1, 1]) == ["[1, 1] has non-unique elements"]
    assert problems({"enum": ["a", "b"]}, "c") == ["'c' is not one of ['a', 'b']"]
    assert problems({"const": 3}, 4) == ["3 was expected"]
    assert problems({"uniqueItems": False}, [1, 1]) == problems({"uniqueItems": True}, "aa") == []


@pytest.mark.parametrize("items", [[{"k": [i]} for i in range(30_000)], COLLIDING], ids=["objects", "colliding"])
def test_unique_items_takes_linear_time(items: list[Any]) -> None:
    assert problems({"properties": {"a": {"uniqueItems": True}}}, {"a": items}) == []


def test_a_long_enum_is_read_once_a_check() -> None:
    schema = {"properties": {"a": {"items": {"enum": [[i] for i in range(5_000)]}}}}
    assert problems(schema, {"a": [[4_999]] * 10_000}) == []


def test_a_thousand_errors_are_enough() -> None:
    assert len(problems({"items": {"type": "string"}}, [0] * 50_000)) == 1_000


def test_too_many_values_are_not_looked_at() -> None:
    with pytest.raises(TooCostlyError, match="more than 100,000 values"):
        problems({"items": {"type": "integer"}}, [0] * 100_001)


NAMES = [f"k{i}" for i in range(20_000)]
REQUIRED = {"$defs": {"r": {"required": NAMES}}, "allOf": [{"$ref": "#/$defs/r"}] * 200}
QUOTING = {"anyOf": [{"type": "integer"} for _ in range(200)]}
FALSE = {"anyOf": [False] * 500}
LARGE = ["x" * 100_000] * 100
ROUNDS = {"allOf": [{"items": True} for _ in range(200)]}
LOOKING_AROUND = {"items": {"pattern": "^(?!a*a*a*a*b)"}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (REQUIRED, dict.fromkeys(NAMES)),
        (QUOTING, LARGE),
        (FALSE, LARGE),
        (ROUNDS, [0] * 90_000),
        (LOOKING_AROUND, ["a" * 40] * 20_000),
    ],
    ids=["many names", "quoted by each", "quoted by false", "gone through by each", "pattern of Python's engine"],
)
def test_what_a_keyword_goes_through_is_paid_for(schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(TooCostlyError):
        problems(schema, value)


def test_unevaluated_is_not_checked_where_it_compares_too_much() -> None:
    closed = {"additionalProperties": {}, "unevaluatedProperties": False}
    assert problems(closed, dict.fromkeys(map(str, range(40_000)))) == []
    levels = {f"d{i}": {"dependentSchemas": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "ab"}} for i in range(30)}
    doubling = {"unevaluatedProperties": False, "$ref": "#/$defs/d0", "$defs": {**levels, "d30": {"properties": {"c": {}}}}}
    with pytest.raises(TooCostlyError):  # of `$ref`, which is counted; `unevaluatedProperties` would not have come to an end
        problems(doubling, {"a": 1, "b": 1})
    assert problems({"properties": {"a": {}}, "unevaluatedProperties": False}, {"b": 1}) != []
    assert problems({"prefixItems": [True], "unevaluatedItems": False}, [1, 2]) != []


@pytest.mark.parametrize(
    "schema",
    [
        {"required": [{"a": i} for i in range(20_000)]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "enum": [{"a": i} for i in range(20_000)] + [{"a": 1}]},
        {"anyOf": [False] * 40_000},
        {"enum": [0] * 100_001},
    ],
    ids=["names that are none", "draft-04's enum", "many branches", "many values"],
)
def test_schemas_themselves_are_checked_in_bounded_time(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        dialect_of(schema)
