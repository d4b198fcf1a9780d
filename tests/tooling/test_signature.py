"""Signatures: what the model is told of the parameters, and what the function receives."""

import datetime as dt
import enum
import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Required, TypeVar, Unpack

import future_tools
import pytest
from calling import answer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import Doc, TypeAliasType, TypedDict

from kimi_agent import ModelRetry, RunContext, ToolDefinitionError, tool

pytestmark = pytest.mark.anyio


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass(slots=True)
class Box:
    corner: Point
    tags: list[str] = field(default_factory=list)


class Node(BaseModel):
    """A tree."""

    value: int
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    id: uuid.UUID
    day: dt.date
    color: Color
    pair: tuple[int, int]


UserId = NewType("UserId", int)
T = TypeVar("T")
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")


class Pair(NamedTuple):
    left: int
    right: int = 2


class Page(BaseModel, Generic[T]):
    items: list[T]


class Options(TypedDict, total=False):
    limit: Required[int]
    sort: Annotated[str, "by what"]


class Address(TypedDict):
    street: str
    number: NotRequired[int]


def schema_of(hint: Any, **more: Any) -> Any:
    """The schema of a parameter with this annotation."""

    def take(value: Any) -> None: ...

    take.__annotations__["value"] = hint
    parameters = tool(take, **more).parameters
    assert parameters["required"] == ["value"]
    return parameters["properties"]["value"]


async def received(hint: Any, value: Any) -> Any:
    """What a parameter with this annotation receives when the model passes `value`."""
    got: list[Any] = []

    def take(value: Any) -> None:
        got.append(value)

    take.__annotations__["value"] = hint
    text = await answer(take, value=value)
    assert text == "done", text
    return got[0]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (int, {"type": "integer"}),
        (str, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (float, {"type": "number"}),
        (Any, {}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Annotated[int, Field(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
        (Annotated[str, "a description"], {"type": "string", "description": "a description"}),
        (Annotated[str, Doc("a description")], {"type": "string", "description": "a description"}),
        (Annotated[str, "a description"] | None, {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "a description"}),
        (Annotated[str, Field(pattern="^a")], {"type": "string", "pattern": "^a"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Path, {"type": "string", "format": "path"}),
    ],
    ids=str,
)
def test_the_schema_that_the_model_sees(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


@pytest.mark.parametrize(
    ("hint", "sent", "got"),
    [
        (int, "5", 5),
        (Color, "blue", Color.BLUE),
        (Level, 2, Level.HIGH),
        (Point, {"x": 1}, Point(1, 0)),
        (Box, {"corner": {"x": 1, "y": 2}}, Box(Point(1, 2))),
        (Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
        (Address, {"street": "Hauptstraße"}, {"street": "Hauptstraße"}),
        (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.datetime, "2026-01-31T08:00:00Z", dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)),
        (dt.timedelta, "PT90S", dt.timedelta(seconds=90)),
        (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
        (Decimal, "1.10", Decimal("1.10")),
        (Path, "/tmp/a", Path("/tmp/a")),
        (bytes, "grüß", "grüß".encode()),
        (set[int], [1, 1, 2], {1, 2}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (frozenset[str], ["a"], frozenset({"a"})),
        (dict[int, Color], {"1": "red"}, {1: Color.RED}),
        (int | str, "7", "7"),
        (int | None, None, None),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "tricks": ["sit"]}, Dog(kind="dog", tricks=["sit"])),
        (UserId, "1", 1),
        (Pair, [1], Pair(1)),
        (Pair, {"left": 1}, Pair(1)),
        (Page[int], {"items": ["1"]}, Page[int](items=[1])),
        (Json, {"a": [1, None]}, {"a": [1, None]}),
        (list[Point | None], [None, {"x": 3}], [None, Point(3)]),
    ],
    ids=str,
)
async def test_what_the_function_receives(hint: Any, sent: Any, got: Any) -> None:
    value = await received(hint, sent)
    assert value == got
    assert type(value) is type(got)


async def test_a_strict_model_takes_what_json_can_say() -> None:
    """In Python's own terms a strict model refuses text for a date: no model could ever call such a tool."""
    sent = {"id": str(uuid.UUID(int=1)), "day": "2026-01-31", "color": "red", "pair": [1, 2]}
    assert await received(Strict, sent) == Strict(id=uuid.UUID(int=1), day=dt.date(2026, 1, 31), color=Color.RED, pair=(1, 2))


def test_a_recursive_model_is_a_reference() -> None:
    def grow(tree: Node) -> None: ...

    parameters = tool(grow).parameters
    assert parameters["properties"]["tree"] == {"$ref": "#/$defs/Node"}
    assert parameters["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_no_made_up_titles_but_a_parameter_may_be_called_title() -> None:
    def write(title: str, node: Node, color: Color, point: Point) -> None: ...

    parameters = tool(write).parameters
    assert "title" not in parameters
    assert parameters["properties"]["title"] == {"type": "string"}
    assert not any("title" in d for d in parameters["$defs"].values())
    assert "description" not in parameters["$defs"]["Point"], "a dataclass's own signature is no description"


@pytest.mark.parametrize(
    "name",
    [
        "schema",
        "json",
        "copy",
        "dict",
        "validate",
        "model_config",
        "model_fields",
        "self_",
        "_x",
        "__x",
        "Any",
        "RunContext",
        "func",
        "args",
        "function",
        "context",
        "arguments",
        "cls",
        "名字",
    ],
)
async def test_any_name_for_a_parameter(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def f({name}: int) -> int:\n    return {name} + 1", scope)
    assert list(tool(scope["f"]).parameters["properties"]) == [name]
    assert await answer(scope["f"], **{name: 1}) == "2"


async def test_positional_only() -> None:
    def f(a: int = 1, b: int = 2, /, c: int = 3) -> str:
        return f"{a} {b} {c}"

    assert await answer(f, b=9) == "1 9 3"
    assert await answer(f, a=5, c=7) == "5 2 7"
    assert await answer(f) == "1 2 3"


async def test_every_kind_of_parameter_at_once() -> None:
    def f(a: int, /, b: int, c: int = 3, *rest: int, d: int, e: int = 5, **more: int) -> str:
        return f"{a} {b} {c} {rest} {d} {e} {more}"

    parameters = tool(f).parameters
    assert parameters["required"] == ["a", "b", "d"]
    assert parameters["properties"]["rest"] == {"type": "array", "items": {"type": "integer"}}
    assert parameters["additionalProperties"] == {"type": "integer"}
    assert await answer(f, a=1, b=2, d=4) == "1 2 3 () 4 5 {}"
    assert await answer(f, a=1, b=2, rest=[8, 9], d=4, z=6) == "1 2 3 (8, 9) 4 5 {'z': 6}"
    assert "z: Input should be a valid integer" in await answer(f, a=1, b=2, d=4, z="six")


async def test_bare_args_and_kwargs() -> None:
    def f(*args, **kwargs):  # type: ignore[no-untyped-def]
        return f"{args} {kwargs}"

    assert await answer(f, args=[1, "a"], key=None) == "(1, 'a') {'key': None}"
    assert await answer(f) == "() {}"


async def test_unpacked_keyword_arguments() -> None:
    def find(query: str, **options: Unpack[Options]) -> str:
        return f"{query} {options}"

    parameters = tool(find).parameters
    assert parameters["required"] == ["query", "limit"]
    assert parameters["properties"]["sort"] == {"type": "string", "description": "by what"}
    assert parameters["additionalProperties"] is False
    assert await answer(find, query="a", limit=1) == "a {'limit': 1}"


async def test_unknown_parameters_are_named_and_so_is_what_is_right() -> None:
    def f(city: str) -> str:
        return city

    text = await answer(f, city="Beijing", country="CN")
    assert text.startswith("ERROR Invalid arguments for f:\ncountry: there is no such parameter\n")
    assert '"city": {"type": "string"}' in text


async def test_many_problems_are_not_all_told() -> None:
    def f(numbers: list[int]) -> None: ...

    text = await answer(f, numbers=["x" * 1000] * 500)
    assert "numbers.9: " in text
    assert "numbers.10" not in text
    assert "… and 490 more problems" in text
    assert len(text) < 4000


async def test_a_validator_that_breaks_is_told_to_the_model_and_does_not_break_the_run() -> None:
    table = {"a": 1}

    def known(key: str) -> str:
        table[key]
        return key

    def again(key: str) -> str:
        raise ModelRetry("ask for a")

    def f(key: Annotated[str, AfterValidator(known)]) -> str:
        return key

    def g(key: Annotated[str, AfterValidator(again)]) -> str:
        return key

    assert await answer(f, key="a") == "a"
    assert "KeyError: 'b'" in await answer(f, key="b")
    assert "ask for a" in await answer(g, key="b")


async def test_context_first_last_only_and_by_any_name() -> None:
    def first(ctx: RunContext[int], a: int) -> int:
        return ctx.deps + a

    def last(a: int, wrapper: RunContext) -> int:
        return wrapper.deps + a

    def only(c: RunContext[int]) -> int:
        return c.deps

    def positional(ctx: RunContext[int], /, a: int, *rest: int) -> int:
        return ctx.deps + a + sum(rest)

    def before_rest(a: int, ctx: RunContext[int], *rest: int) -> int:
        return ctx.deps + a + sum(rest)

    def optional(a: int, ctx: RunContext[int] | None = None) -> int:
        return (ctx.deps if ctx else -1) + a

    for f in (first, last, optional, positional, before_rest):
        assert next(iter(tool(f).parameters["properties"])) == "a"
        assert "ctx" not in str(tool(f).parameters)
        assert await answer(f, deps=40, a=2) == "42"
    assert await answer(before_rest, deps=40, a=2, rest=[1]) == "43"
    assert tool(only).parameters["properties"] == {}
    assert await answer(only, deps=1) == "1"


async def test_half_an_emoji_does_not_cost_the_call() -> None:
    def f(text: str) -> str:
        return text

    assert await answer(f, text="\ud83d! 😀") == "?! 😀"


async def test_the_model_cannot_pass_a_context() -> None:
    def f(ctx: RunContext[str], **more: Any) -> str:
        return f"{ctx.deps} {more}"

    assert await answer(f, deps="mine", ctx={"deps": "forged"}) == "mine {}"


async def test_annotations_that_are_text() -> None:
    assert list(future_tools.forecast.parameters["properties"]) == ["place", "unit"]
    text = await answer(future_tools.forecast, deps="db", place={"city": "A", "near": [{"city": "B"}]})
    assert text == "db Place(city='A', near=[Place(city='B', near=None)]) c"


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    problem = r"unresolved: the annotation of 'place', 'Database', cannot be resolved.*TYPE_CHECKING"
    with pytest.raises(ToolDefinitionError, match=problem):
        _ = future_tools.unresolved.parameters


def test_a_type_that_json_cannot_carry_names_the_parameter() -> None:
    class Connection: ...

    def f(ok: int, db: Connection) -> None: ...

    def g(ok: int, then: Callable[[], int]) -> None: ...

    with pytest.raises(ToolDefinitionError, match=r"f cannot become a tool: parameter 'db': .*Connection.*pass `parameters=`") as e:
        _ = tool(f).parameters
    assert "arbitrary_types_allowed" not in str(e.value), "which the user has no place to set"
    with pytest.raises(ToolDefinitionError, match="parameter 'then'"):
        _ = tool(g).parameters


async def test_unannotated_parameters_take_anything() -> None:
    def f(x, y=3):  # type: ignore[no-untyped-def]
        return [x, y]

    assert tool(f).parameters["properties"] == {"x": {}, "y": {"default": 3}}
    assert await answer(f, x={"a": [1]}) == '[{"a": [1]}, 3]'


async def test_partial_hides_what_is_bound() -> None:
    def search(query: str, key: str, limit: int = 3, *, lang: str = "en") -> str:
        """Searches."""
        return f"{query} {key} {limit} {lang}"

    bound = tool(functools.partial(functools.partial(search, key="secret"), lang="zh"))
    assert (bound.name, bound.description) == ("search", "Searches.")
    assert bound.parameters["properties"] == {"query": {"type": "string"}, "limit": {"type": "integer", "default": 3}}
    assert await answer(bound, query="q") == "q secret 3 zh"
    assert "there is no such parameter" in await answer(bound, query="q", key="mine")
    assert list(tool(functools.partial(search, "q")).parameters["properties"]) == ["key", "limit", "lang"]


async def test_decorated_functions_keep_their_parameters() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return f"<{function(*args, **kwargs)}>"

        return wrapper

    @functools.lru_cache
    def cached(n: int) -> int:
        """Counts."""
        return n + 1

    @logged
    def plain(color: Color) -> str:
        """Paints."""
        return color.name

    assert tool(plain).parameters["properties"]["color"] == {"$ref": "#/$defs/Color"}
    assert await answer(plain, color="red") == "<RED>"
    assert tool(cached).parameters["properties"] == {"n": {"type": "integer"}}
    assert (tool(cached).description, await answer(tool(cached), n="1")) == ("Counts.", "2")


async def test_a_class_is_a_tool_that_makes_one() -> None:
    assert tool(Point).parameters["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}
    assert await answer(tool(Point), x="1") == '{"x": 1, "y": 0}'
    assert await answer(tool(Node), value=1) == '{"value": 1, "children": []}'


def test_a_builtin_without_a_signature() -> None:
    with pytest.raises(ToolDefinitionError, match=r"dict has no signature to read.*pass `parameters=`"):
        _ = tool(dict).parameters
