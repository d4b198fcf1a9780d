"""A function's signature as the schema and the validator of its arguments.

pydantic does both, over a TypedDict made of the parameters: names cannot clash with a model's attributes, and what the model
leaves out stays out, so that the function's own defaults hold.
"""

import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NotRequired, Required

import typing_extensions
from typing_extensions import TypedDict

from kimi_agent.errors import ModelRetry, ToolDefinitionError
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.docstring import Documentation

Validate = Callable[[dict[str, Any]], dict[str, Any]]
_CONTEXT = re.compile(r"(\w+\.)*RunContext\b")
_UNPACK = (typing.Unpack, typing_extensions.Unpack)
_PLAIN = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would make one a call
_MOST_PROBLEMS = 10


class InvalidArguments(Exception):
    """The arguments do not fit; the text, one problem a line, is for the model."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How a function is called.

    Attributes:
        parameters: those that the model fills, in order.
        every: all of them, in order.
        context: the name of the `RunContext` parameter, if there is one.
        hints: annotations by name, resolved.
    """

    function: Callable[..., Any]
    parameters: tuple[inspect.Parameter, ...]
    every: tuple[inspect.Parameter, ...]
    context: str | None
    hints: dict[str, Any]

    def bind(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """The call, ready to be made, with arguments as `Arguments.validate` returns them."""
        values = dict(arguments)
        if self.context is not None:
            values[self.context] = context
        star = next((p.name for p in self.every if p.kind is inspect.Parameter.VAR_POSITIONAL), "")
        behind = values.pop(star, ())
        positional: list[Any] = []
        gap: list[Any] = []  # what is left out takes its default, but only where something stands behind it
        for p in self.every:
            if p.kind is inspect.Parameter.POSITIONAL_ONLY or (p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and behind):
                if p.name in values:
                    positional += [*gap, values.pop(p.name)]
                    gap = []
                else:
                    gap.append(p.default)
        return partial(self.function, *positional, *(gap if behind else ()), *behind, **values)


def read_signature(function: Callable[..., Any]) -> Signature:
    """Raises ToolDefinitionError for a signature or annotations that cannot be read."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError) as e:
        raise ToolDefinitionError(f"{_name(function)} has no signature to read ({e}): pass `parameters=`") from e
    if parameters and parameters[0].name == "self" and parameters[0].annotation is inspect.Parameter.empty:
        raise ToolDefinitionError(f"{_name(function)} is a method without its object: pass it as `its_object.{function.__name__}`")
    namespace = _namespace(function)
    hints = {p.name: _hint(p, namespace, function) for p in parameters if p.annotation is not inspect.Parameter.empty}
    context = next((p.name for p in parameters if _is_context(hints.get(p.name))), None)
    whole: Any = function
    bound = whole.keywords if isinstance(function, partial) else ()  # not for the model to know, or to change
    filled = tuple(p for p in parameters if p.name != context and p.name not in bound)
    return Signature(whole, filled, tuple(parameters), context, hints)


def _hint(parameter: inspect.Parameter, namespace: dict[str, Any], function: Callable[..., Any]) -> Any:
    """The annotation, resolved by itself: one that nobody asks for, such as the result's, need not exist at run time."""
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, namespace, include_extras=True)[parameter.name]
    except (NameError, AttributeError, TypeError, SyntaxError) as e:
        if isinstance(parameter.annotation, str) and _CONTEXT.match(parameter.annotation):
            return RunContext  # RunContext[Db], with Db imported for the type checker only
        raise ToolDefinitionError(
            f"{_name(function)}: the annotation of {parameter.name!r}, {parameter.annotation!r}, cannot be resolved ({e}). Import "
            "or define it at module level, not under TYPE_CHECKING or in a function, or leave out "
            "`from __future__ import annotations` there"
        ) from e


def _namespace(function: Any) -> dict[str, Any]:
    """Where the function's annotations are looked up if they are text."""
    while True:
        if isinstance(function, partial):
            function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    for holder in (function, getattr(function.__class__, "__call__", None)):  # noqa: B004
        if (found := getattr(holder, "__globals__", None)) is not None:
            return found
    return vars(sys.modules.get(getattr(function, "__module__", None) or "", types))


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _is_context(hint: Any) -> bool:
    """Also `RunContext[Db] | None`, for functions that are called by hand too."""
    origin = typing.get_origin(hint) or hint
    if origin in (Annotated, typing.Union, types.UnionType):
        return any(map(_is_context, typing.get_args(hint)))
    return isinstance(origin, type) and issubclass(origin, RunContext)


class Arguments:
    """Schema and validator of a function's arguments.

    Attributes:
        schema: JSON Schema of type object, without titles.
    """

    def __init__(self, signature: Signature, documentation: Documentation, name: str) -> None:
        fields: dict[str, Any] = {}
        more: Any = None
        for p in signature.parameters:
            hint = signature.hints.get(p.name, Any)
            if p.kind is not inspect.Parameter.VAR_KEYWORD:
                fields[p.name] = _field(p, hint, documentation)
            elif typing.get_origin(hint) in _UNPACK:
                fields |= _unpacked(typing.get_args(hint)[0], documentation)
            else:
                more = hint
        try:
            self._adapter, self.schema = adapter_for(_shape(name, fields, more))
        except ToolDefinitionError as e:
            raise ToolDefinitionError(
                f"{_name(signature.function)} cannot become a tool: {_culprit(fields) or e}. Give it a type "
                "that JSON can carry, or pass `parameters=`"
            ) from e

    def validate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them. Raises InvalidArguments."""
        return validated(self._adapter, arguments)


def _shape(name: str, fields: dict[str, Any], more: Any = None) -> Any:
    """The arguments as a TypedDict; `more`: the type of those that have no field, None where there may be none."""
    from pydantic import ConfigDict

    make: Any = TypedDict
    shape = make(name, fields, **({} if more in (None, Any) else {"extra_items": more}))
    shape.__pydantic_config__ = ConfigDict(extra="forbid" if more is None else "allow", coerce_numbers_to_str=True)
    return shape


def _culprit(fields: dict[str, Any]) -> str | None:
    """The parameter that pydantic cannot take, and why; None if each can be taken by itself."""
    for name, hint in fields.items():
        try:
            adapter_for(_shape(name, {name: hint}))
        except ToolDefinitionError as e:
            return f"parameter {name!r}: {e}"
    return None


def _field(parameter: inspect.Parameter, hint: Any, documentation: Documentation) -> Any:
    """A parameter as a TypedDict field: documented, and optional where it has a default."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    default = parameter.default
    if isinstance(default, FieldInfo):  # x: int = Field(5, ge=1), as in a pydantic model: pydantic fills in its default
        return Annotated[hint, Field(description=documentation.parameters.get(parameter.name)), default]
    extra: dict[str, Any] = {}
    description = documentation.parameters.get(parameter.name) or _annotated_text(hint)
    if description and not _has_description(hint):
        extra["description"] = description
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return NotRequired[Annotated[list[hint], Field(**extra)]]
    if default is inspect.Parameter.empty:
        return Annotated[hint, Field(**extra)] if extra else hint
    if default is None and not _is_nullable(hint):
        hint = typing.Optional[hint]  # x: int = None # noqa: UP045 - the hint may be a string
    elif (plain := _plain_default(default)) is not None:
        extra["json_schema_extra"] = {"default": plain}
    return NotRequired[Annotated[hint, Field(**extra)] if extra else hint]


def _unpacked(shape: Any, documentation: Documentation) -> dict[str, Any]:
    """The fields of `**options: Unpack[Options]`."""
    fields: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(shape, include_extras=True).items():
        required = name in shape.__required_keys__
        if typing.get_origin(hint) in (Required, NotRequired):
            required = typing.get_origin(hint) is Required
            hint = typing.get_args(hint)[0]
        field = _field(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY), hint, documentation)
        fields[name] = field if required else NotRequired[field]
    return fields


def _annotated_text(hint: Any) -> str | None:
    """`Annotated[int, "the number of days"]`, `Annotated[int, Doc("…")]`, or an `Optional` of these."""
    for m in getattr(hint, "__metadata__", ()):
        if text := m if isinstance(m, str) else getattr(m, "documentation", None):
            return text
    inner = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    return next(filter(None, map(_annotated_text, inner)), None)


def _has_description(hint: Any) -> bool:
    return any(getattr(m, "description", None) for m in getattr(hint, "__metadata__", ()))


def _is_nullable(hint: Any) -> bool:
    if typing.get_origin(hint) is Annotated:
        return _is_nullable(typing.get_args(hint)[0])
    return hint in (Any, None, types.NoneType, object) or types.NoneType in typing.get_args(hint)


def _plain_default(default: Any) -> Any:
    """The default as JSON, None where it is none."""
    from pydantic_core import to_jsonable_python

    try:
        return json.loads(json.dumps(to_jsonable_python(default), allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return None


def adapter_for(kind: Any) -> tuple[Any, dict[str, Any]]:
    """pydantic's adapter and its JSON Schema, without the titles that pydantic makes up: they are tokens that say nothing.

    Raises ToolDefinitionError with the first sentence of pydantic's reason.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        schema: dict[str, Any] = adapter.json_schema(schema_generator=Untitled)
    except (PydanticUserError, PydanticUndefinedAnnotation) as e:
        raise ToolDefinitionError(re.split(r"\. |\n", e.message)[0].rstrip(".")) from e
    if "$ref" in schema:  # a type that holds itself
        schema |= schema["$defs"][schema.pop("$ref").removeprefix("#/$defs/")]
    schema.pop("title", None)
    schema.pop("description", None)
    for definition in schema.get("$defs", {}).values():
        definition.pop("title", None)
    if schema.get("type") == "object":
        schema.setdefault("properties", {})
    return adapter, schema


def validated(adapter: Any, arguments: Any) -> Any:
    """What the adapter makes of the arguments, as JSON: strict models too take dates and enums as text. Half a surrogate pair,
    which models write where an emoji is cut, becomes "?".

    Raises InvalidArguments with one line a problem.
    """
    from pydantic import ValidationError

    try:
        return adapter.validate_json(_PLAIN.encode(arguments).encode("utf-8", "replace"))
    except ValidationError as e:
        raise InvalidArguments(listed([_problem(p) for p in e.errors(include_url=False, include_context=False)])) from None
    except Exception as e:  # from a validator of the user's
        raise InvalidArguments(str(e) if isinstance(e, ModelRetry) else f"{type(e).__name__}: {e}") from e


def listed(problems: list[str]) -> str:
    """One a line, the first ones only."""
    rest = len(problems) - _MOST_PROBLEMS
    return "\n".join([*problems[:_MOST_PROBLEMS], *([f"… and {rest} more problems"] if rest > 0 else [])])


def _problem(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "arguments"
    if error["type"] == "missing":
        return f"{where}: required, but missing"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such parameter"
    return f"{where}: {error['msg']} (got {_short(error.get('input'))})"


def _short(value: Any, limit: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"
