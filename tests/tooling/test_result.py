"""Results: what the model sees of what a tool returns."""

import datetime as dt
import enum
import json
import math
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from calling import answer, answers
from pydantic import BaseModel, field_serializer

from kimi_agent import Agent, File, Image, ScriptedModel, Text, ToolEnd, ToolResult, call, tool

pytestmark = pytest.mark.anyio

PIXEL = Image(b"\x89PNG")


class Weather(BaseModel):
    city: str
    at: dt.date


@dataclass
class Point:
    x: int
    y: float


class Shade(str, enum.Enum):  # noqa: UP042 - the old way is what many have
    DARK = "dark"


class Color(enum.Enum):
    RED = "red"


class Opaque:
    def __str__(self) -> str:
        return "a table\nof two lines"


def returning(value: Any) -> Callable[[], Any]:
    def f() -> Any:
        return value

    return f


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, "done"),
        (0, "0"),
        (True, "true"),
        (1.5, "1.5"),
        (math.nan, "NaN"),
        ({"a": math.inf}, '{"a": "Infinity"}'),
        ({"名": "值"}, '{"名": "值"}'),
        ([], "[]"),
        (["a", "b"], '["a", "b"]'),
        ((1, 2), "[1, 2]"),
        ({3}, "[3]"),
        (deque([1]), "[1]"),
        ({1: "a", None: "b"}, '{"1": "a", "None": "b"}'),
        (Weather(city="A", at=dt.date(2026, 1, 31)), '{"city": "A", "at": "2026-01-31"}'),
        ([Point(1, 2.0)], '[{"x": 1, "y": 2.0}]'),
        (Shade.DARK, "dark"),
        (Color.RED, "red"),
        ([Color.RED, Shade.DARK], '["red", "dark"]'),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (Path("/tmp/a"), "/tmp/a"),
        (Opaque(), "a table\nof two lines"),
        ({"a": Opaque()}, '{"a": "a table\\nof two lines"}'),
        ({"raw": b"\xff\xfe"}, '{"raw": "__4="}'),
        (Text("text"), "text"),
    ],
)
async def test_values_as_text(value: Any, text: str) -> None:
    assert await answer(returning(value)) == text


async def test_a_value_that_holds_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert await answer(returning(loop)) == "[[...]]"


async def test_a_value_that_cannot_be_written_is_an_error_for_the_model() -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise KeyError("no text")

    class Broken(BaseModel):
        x: int = 1

        @field_serializer("x")
        def _x(self, x: int) -> int:
            raise LookupError("gone")

    assert (await answer(returning(Unprintable()))).startswith("ERROR ")
    assert await answer(returning(Broken())) == "x=1", "what JSON cannot say is said in Python's words"


@pytest.mark.parametrize("value", [PIXEL, File(b"%PDF", "a.pdf", "application/pdf")])
async def test_images_and_files_are_sent_as_such(value: Any) -> None:
    assert (await answers([returning(value)], call("f")))[0].content == (value,)


async def test_a_mixed_list_keeps_its_order() -> None:
    said = (await answers([returning(["before", PIXEL, {"a": 1}, File(b"x"), Text("after"), Shade.DARK])], call("f")))[0]
    assert said.content == (Text("before"), PIXEL, Text('{"a": 1}'), File(b"x"), Text("after"), Text("dark"))


@pytest.mark.parametrize("value", [b"\x00\x01", bytearray(b"\x00\x01"), memoryview(b"\x00\x01")], ids=lambda v: type(v).__name__)
async def test_bytes_are_a_file(value: Any) -> None:
    said = (await answers([returning(value)], call("f")))[0]
    assert said.content == (File(b"\x00\x01"),)
    assert said.text == "[file file, application/octet-stream, 2 bytes]"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("text", (Text("text"),)),
        (PIXEL, (PIXEL,)),
        (["a", PIXEL], (Text("a"), PIXEL)),
        (("a", "b"), (Text("a"), Text("b"))),
        ((p for p in ["a", PIXEL]), (Text("a"), PIXEL)),
        ({"a": 1}, (Text('{"a": 1}'),)),
        ([1, 2], (Text("[1, 2]"),)),
        ([], (Text("[]"),)),
        (42, (Text("42"),)),
        (None, (Text("done"),)),
        (Point(1, 2.0), (Text('{"x": 1, "y": 2.0}'),)),
    ],
)
async def test_a_tool_result_takes_whatever_a_tool_may_return(content: Any, parts: tuple[Any, ...]) -> None:
    said = (await answers([returning(ToolResult(content, is_error=True))], call("f")))[0]
    assert said.content == parts
    assert said.is_error


async def test_what_is_for_the_reader_of_the_events_is_not_sent() -> None:
    weather = Weather(city="A", at=dt.date(2026, 1, 31))
    for made, value in ((ToolResult("short", value=weather), weather), (weather, weather), (7, 7)):
        model = ScriptedModel([call("f"), "done"])
        ends = [e async for e in Agent(model, tools=[returning(made)]).stream("go") if isinstance(e, ToolEnd)]
        assert ends[0].value == value


async def test_huge_text_is_cut_in_the_middle_and_says_so() -> None:
    text = "a" * 60_000 + "END"
    said = await answer(returning(text))
    assert said.startswith("aaa")
    assert said.endswith("END")
    assert "characters left out here" in said
    assert len(said) < 50_200
    short = await answer(tool(returning(text), max_result_chars=100))
    assert len(short) < 300
    assert "59903 of 60003 characters left out" in short


async def test_huge_json_and_huge_parts_are_cut_too() -> None:
    assert len(await answer(returning(list(range(100_000))))) < 50_200
    said = (await answers([returning([PIXEL, Text("a" * 30_000), Text("b" * 30_000), Text("c" * 30_000)])], call("f")))[0]
    assert said.content[0] == PIXEL
    assert len(said.text) < 50_500
    file = File(b"x" * 1_000_000, "log.txt", "text/plain")
    assert len(await answer(returning(file))) < 50_200, "the model is sent a text file's text"
    assert (await answer(returning(file))).startswith("[log.txt]\nxxx")
    small = File(b"x", "log.txt", "text/plain")
    assert (await answers([returning(small)], call("f")))[0].content == (small,)


async def test_json_results_are_json() -> None:
    rows = {"rows": [{"n": i, "名": "值", "quote": '"'} for i in range(3)]}
    assert json.loads(await answer(returning(rows))) == rows
