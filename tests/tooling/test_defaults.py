"""Parameters with defaults: what the model sees of them, and what the function receives."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import pytest
from calling import answer
from pydantic import Field

from kimi_agent import tool

pytestmark = pytest.mark.anyio


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


def test_what_has_a_default_is_not_required() -> None:
    def f(a: int, b: int = 2, c: str | None = None, d: Color = Color.RED, e: Point = Point(1), f: list[int] = []) -> None: ...  # noqa: B006, B008

    parameters = tool(f).parameters
    assert parameters["required"] == ["a"]
    shown = {name: p.get("default") for name, p in parameters["properties"].items()}
    assert shown == {"a": None, "b": 2, "c": None, "d": "red", "e": {"x": 1, "y": 0}, "f": []}


@pytest.mark.parametrize(
    "default",
    [math.inf, math.nan, b"\xff", object(), len, [math.nan]],
    ids=["inf", "nan", "bytes", "object", "function", "nested nan"],
)
async def test_a_default_that_is_not_json_is_kept_from_the_model_and_holds(default: Any) -> None:
    got: list[Any] = []

    def f(value: Any = default) -> None:
        got.append(value)

    assert "default" not in tool(f).parameters["properties"]["value"]
    assert await answer(f) == "done"
    assert got[0] is default


async def test_a_mutable_default_is_the_functions_own() -> None:
    def collect(item: int, into: list[int] = []) -> list[int]:  # noqa: B006
        into.append(item)
        return into

    assert [await answer(collect, item=i) for i in (1, 2)] == ["[1]", "[1, 2]"]
    assert await answer(collect, item=1, into=[7]) == "[7, 1]"


async def test_none_as_a_default_may_be_said_whatever_the_annotation() -> None:
    """`x: int = None` is often written and means `int | None`; models say null for what they leave out."""

    def f(x: Annotated[int, Field(ge=1, description="how many")] = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        return repr(x)

    assert tool(f).parameters["properties"]["x"] == {
        "anyOf": [{"type": "integer", "minimum": 1, "description": "how many"}, {"type": "null"}]
    }
    assert [await answer(f), await answer(f, x=None), await answer(f, x=2)] == ["None", "None", "2"]
    assert (await answer(f, x=0)).startswith("ERROR Invalid arguments for f:\nx: ")


async def test_optional_without_a_default_is_required() -> None:
    def f(x: int | None) -> str:
        return repr(x)

    assert tool(f).parameters["required"] == ["x"]
    assert await answer(f, x=None) == "None"
    assert "x: required, but missing" in await answer(f)


async def test_a_pydantic_field_as_default() -> None:
    def f(a: int = Field(ge=1), b: int = Field(5, description="the b"), c: list[int] = Field(default_factory=list)):  # noqa: B008
        return repr((a, b, c))

    parameters = tool(f).parameters
    assert parameters["required"] == ["a"]
    assert parameters["properties"]["b"] == {"type": "integer", "default": 5, "description": "the b"}
    assert await answer(f, a=1) == "(1, 5, [])"
    assert "a: Input should be greater than or equal to 1 (got 0)" in await answer(f, a=0)
