"""What a tool returns, as a type: its output schema, read from the return annotation, and the structured content that fits it."""

import functools
import inspect
import sys
import typing
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, NoReturn, NotRequired

import mcp_types as types
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import from_json
from typing_extensions import TypedDict

from kimi_agent.mcp.server.content import BLOCKS
from kimi_agent.messages import File, Image, Text
from kimi_agent.tooling.result import Pending, ToolResult

_NOTHING = inspect.Signature.empty
_UNSAID: tuple[Any, ...] = (Any, object, None, type(None), str, bytes, bytearray, memoryview, NoReturn, typing.Never, _NOTHING)
_SHOWN = (Text, Image, File, ToolResult, Pending, *BLOCKS, types.CallToolResult)
_SEVERAL = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator, abc.Iterator, abc.Generator)
_LISTS = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection)
WRAPPED = "result"
"""Structured content is an object: what is none stands in it under this name."""


class _Untitled(GenerateJsonSchema):
    """Without the titles that pydantic makes up of names: they say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Unfit(Exception):
    """A tool returned something else than its annotation says; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool returns, where its annotation says so.

    Attributes:
        schema: JSON Schema of type object.
    """

    schema: dict[str, Any]
    _adapter: TypeAdapter[Any] | None
    _wrapped: bool

    def structured(self, value: Any) -> dict[str, Any]:
        """The value as structured content that fits the schema. Raises Unfit."""
        try:
            plain = value if self._adapter is None else from_json(self._adapter.dump_json(value, by_alias=True, warnings=False))
        except Exception as e:  # from a serialiser of the user's, or pydantic's own
            raise Unfit(f"{type(e).__name__}: {e}") from e
        content = {WRAPPED: plain} if self._wrapped else plain
        check: Any = Draft202012Validator(self.schema)
        error = next(check.iter_errors(content), None)
        if error is not None:
            raise Unfit(f"{'.'.join(map(str, error.absolute_path)) or 'the result'}: {error.message[:300]}")
        return content


def returned_by(function: Callable[..., Any]) -> Returned | None:
    """What the function returns; None where its annotation does not say, or where the client is to see text, an image or a file."""
    while isinstance(function, functools.partial):
        function = function.func
    try:
        hint = typing.get_type_hints(function, include_extras=True).get("return", _NOTHING)
    except Exception:  # names that exist for the type checker only
        return None
    return returned_as(hint)


def returned_as(hint: Any) -> Returned | None:
    """The same for a type."""
    if typing.get_origin(hint) in _SEVERAL:
        hint = list[typing.get_args(hint)[0]]
    bare = hint.__origin__ if typing.get_origin(hint) is Annotated else hint
    if bare in _UNSAID or _is_shown(hint):
        return None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(_portable(hint))
        schema = adapter.json_schema(mode="serialization", schema_generator=_Untitled)
    except (PydanticUserError, NameError, TypeError, RecursionError):
        return None
    if "$ref" in schema:  # a type that holds itself
        schema |= schema["$defs"][schema.pop("$ref").removeprefix("#/$defs/")]
    if schema.get("type") == "object":
        return Returned(schema, adapter, _wrapped=False)
    return Returned(_wrap(schema), adapter, _wrapped=True)


def returned_by_schema(schema: dict[str, Any]) -> Returned:
    """For values that are plain JSON already."""
    is_object = schema.get("type") == "object"
    return Returned(schema if is_object else _wrap(schema), None, not is_object)


def _portable(hint: Any) -> Any:
    """Below Python 3.12 pydantic takes no `typing.TypedDict`, but the same from typing_extensions."""
    if sys.version_info >= (3, 12):
        return hint
    if isinstance(hint, type) and typing.is_typeddict(hint):
        hints, required = typing.get_type_hints(hint, include_extras=True), getattr(hint, "__required_keys__", ())
        fields = {name: _portable(h) if name in required else NotRequired[_portable(h)] for name, h in hints.items()}
        make: Any = TypedDict
        return make(hint.__name__, fields)
    origin: Any = typing.get_origin(hint)
    inner = tuple(map(_portable, typing.get_args(hint)))
    if origin in (typing.Union, UnionType):
        return typing.Union[inner]  # noqa: UP007 - of as many as there are
    if origin not in (list, dict, tuple):
        return hint
    generic: Any = origin
    return generic[inner]


def _wrap(schema: dict[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in schema.items() if k != "$defs"}
    wrapped: dict[str, Any] = {"type": "object", "properties": {WRAPPED: rest}, "required": [WRAPPED]}
    return wrapped | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


def _is_shown(hint: Any) -> bool:
    """Whether it is, or may hold, something that is shown as it is instead of being written as JSON: text among others, an image, a
    list of anything."""
    if isinstance(hint, type) and (issubclass(hint, _SHOWN) or hint in _LISTS):
        return True
    inner, origin = typing.get_args(hint), typing.get_origin(hint)
    if (origin in _LISTS and Any in inner) or (origin in (typing.Union, UnionType) and str in inner):
        return True
    return any(map(_is_shown, inner))
