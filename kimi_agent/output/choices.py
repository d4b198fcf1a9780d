"""An output specification as choices: each a tool whose arguments the model fills, and which gives the value."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from typing_extensions import TypedDict

from kimi_agent.errors import UserError
from kimi_agent.output.spec import JsonSchema, NativeOutput, OutputMode, PromptedOutput, ToolOutput
from kimi_agent.tooling.execute import Refused, parse
from kimi_agent.tooling.schema import keeps_within
from kimi_agent.tooling.signature import InvalidArguments, adapter_for
from kimi_agent.tooling.tool import Tool, tool

TOOL_NAME = "final_result"
_DESCRIPTION = "Gives the final answer, and ends the task."
_WRAP = "result"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that the answer may be.

    Attributes:
        tool: checks the arguments, and makes the value of them.
        wrapped: whether the value stands alone under the key "result", because it is no JSON object.
        kind: the value's type; Any where it is not known.
        is_function: whether code of the user makes the value.
    """

    tool: Tool[..., Any]
    wrapped: bool
    kind: Any
    is_function: bool = False

    def __post_init__(self) -> None:
        """Raises ToolDefinitionError at once, not in the middle of a run."""
        assert self.tool.parameters

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.tool.name

    def checked(self, arguments: str) -> dict[str, Any]:
        """The tool's arguments, of JSON. Raises InvalidArguments."""
        try:
            return self.tool.validate(parse(arguments))
        except Refused as e:
            raise InvalidArguments(str(e)) from None


def mode_in(spec: Any) -> tuple[Any, OutputMode | None]:
    """What is wanted, and how it must be asked for, if the specification says."""
    if isinstance(spec, NativeOutput):
        return cast(NativeOutput[Any], spec).of, "native"
    if isinstance(spec, PromptedOutput):
        return cast(PromptedOutput[Any], spec).of, "prompted"
    return spec, "tool" if any(isinstance(each, ToolOutput) for each in _listed(spec)) else None


def choices_of(spec: Any) -> tuple[tuple[Choice, ...], bool]:
    """The choices, and whether plain text is one, too. Raises ToolDefinitionError for what JSON cannot carry."""
    parts = [str] if spec is None else list(_parts(spec))
    typed = [p for p in parts if p is not str]
    if not typed:
        return (), True
    scalars = [p for p in typed if not _stands_alone(p)]
    single = len(typed) - len(scalars) + bool(scalars) == 1
    choices = [_choice(p, single) for p in typed if p not in scalars]
    if scalars:
        choices.append(_of_type(typing.Union[tuple(scalars)], TOOL_NAME, _DESCRIPTION, wrap=True))  # noqa: UP007
    names = [c.name for c in choices]
    if double := next((n for n in names if names.count(n) > 1), None):
        raise UserError(f"two outputs are named {double!r}: name one, ToolOutput(…, name='…')")
    return tuple(choices), len(typed) < len(parts)


def _listed(spec: Any) -> Sequence[Any]:
    return cast(Sequence[Any], spec) if isinstance(spec, list | tuple) else (spec,)


def _parts(spec: Any) -> Iterator[Any]:
    """The members of lists and unions, one by one."""
    for each in _listed(spec):
        if isinstance(each, Mapping):
            raise UserError("a JSON Schema as output is written JsonSchema({…})")
        if isinstance(each, NativeOutput | PromptedOutput):
            raise UserError("NativeOutput and PromptedOutput stand around all outputs: output=NativeOutput([…])")
        if typing.get_origin(each) in (typing.Union, types.UnionType):
            yield from typing.get_args(each)
        else:
            yield each


def _stands_alone(part: Any) -> bool:
    """Whether it is an object by itself, or a function: the rest is put under one key."""
    if isinstance(part, ToolOutput | JsonSchema) or _is_function(part):
        return True
    return adapter_for(part)[1].get("type") == "object"


def _is_function(part: Any) -> bool:
    return callable(part) and not isinstance(part, type) and typing.get_origin(part) is None and not _is_special(part)


def _is_special(part: Any) -> bool:
    """`Any`, type variables, and `type X = …` aliases can be called as far as Python knows."""
    return type(part).__module__ in ("typing", "typing_extensions")


def _choice(part: Any, single: bool) -> Choice:
    name: str | None = None
    description: str | None = None
    if isinstance(part, ToolOutput):
        marked = cast(ToolOutput[Any], part)
        part, name, description = marked.of, marked.name, marked.description
    if isinstance(part, JsonSchema):
        return _of_schema(part, name or part.name or TOOL_NAME, description or part.description)
    if _is_function(part):
        return _of_function(part, name, description)
    kind = re.sub(r"\W+", "_", getattr(part, "__name__", "value")).strip("_")  # Box[int] → Box_int
    default = TOOL_NAME if single else f"{TOOL_NAME}_{kind}"
    wrap = adapter_for(part)[1].get("type") != "object"
    return _of_type(part, name or default, description or _documented(part), wrap=wrap)


def _documented(kind: Any) -> str:
    """The class's own docstring, unless Python wrote it."""
    own = vars(kind).get("__doc__") if isinstance(kind, type) and kind.__module__ != "builtins" else None
    generated = own is not None and own.startswith(f"{kind.__name__}(")
    return f"{inspect.cleandoc(own)}\n\n{_DESCRIPTION}" if own and not generated else _DESCRIPTION


def _of_type(kind: Any, name: str, description: str, *, wrap: bool) -> Choice:
    def give(value: Any) -> Any:
        return value

    def unwrap(result: Any) -> Any:
        return result

    if wrap:
        shape: Any = TypedDict(name, {_WRAP: kind})  # pyright: ignore
        return Choice(tool(unwrap, name=name, description=description, parameters=shape), True, kind)
    give.__annotations__ = {"value": kind}
    return Choice(tool(give, name=name, description=description, parameters=kind), False, kind)


def _of_schema(given: JsonSchema, name: str, description: str | None) -> Choice:
    def give(**members: Any) -> Any:
        return members

    def unwrap(result: Any) -> Any:
        return result

    schema = dict(given.schema)
    description = description or schema.get("description") or _DESCRIPTION
    wrap = schema.get("type") != "object"
    if wrap:
        if not keeps_within(schema, ("$defs", "definitions")):
            raise UserError("a JsonSchema that refers to itself ('#') must be of type object")
        hoisted = {k: schema.pop(k) for k in ("$defs", "definitions", "$schema") if k in schema}
        schema = {**hoisted, "type": "object", "properties": {_WRAP: schema}, "required": [_WRAP], "additionalProperties": False}
    function: Any = unwrap if wrap else give
    return Choice(tool(function, name=name, description=description, parameters=schema), wrap, Any)


def _of_function(function: Callable[..., Any], name: str | None, description: str | None) -> Choice:
    own = {k: v for k, v in (("name", name), ("description", description)) if v is not None}
    made: Tool[..., Any] = tool(function, **own)  # pyright: ignore[reportArgumentType]
    try:
        kind = typing.get_type_hints(made.function, include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError):
        kind = Any
    return Choice(made, False, kind, is_function=True)


def text_choice() -> Choice:
    """Plain text, as it stands."""

    def give(text: str) -> str:
        return text

    return Choice(tool(give, name="text"), False, Any)


def combined_schema(choices: Sequence[Choice]) -> dict[str, Any]:
    """One JSON Schema of type object for all choices: of several, `{"kind": name, "data": …}` says which it is."""
    if len(choices) == 1:
        return choices[0].tool.parameters
    definitions: dict[str, Any] = {}
    members: list[dict[str, Any]] = []
    for choice in choices:
        data = _hoisted(choice, definitions)
        kind = {"type": "string", "enum": [choice.name], "description": choice.tool.description}
        members.append({"type": "object", "properties": {"kind": kind, "data": data}, "required": ["kind", "data"]})
    schema = {"type": "object", "properties": {_WRAP: {"anyOf": members}}, "required": [_WRAP]}
    return {**schema, "$defs": definitions} if definitions else schema


def _hoisted(choice: Choice, definitions: dict[str, Any]) -> dict[str, Any]:
    """A choice's schema, for a place inside another one: its definitions are put among those of the whole, by the choice's name. A
    schema that refers to other places of its own becomes a definition as a whole."""
    schema = dict(choice.tool.parameters)
    if not keeps_within(schema, ("$defs",)):
        definitions[choice.name] = _moved(schema, "#", f"#/$defs/{choice.name}")
        return {"$ref": f"#/$defs/{choice.name}"}
    own: dict[str, Any] = schema.pop("$defs", {})
    for key, definition in own.items():
        definitions[f"{choice.name}.{key}"] = _moved(definition, "#/$defs/", f"#/$defs/{choice.name}.")
    return _moved(schema, "#/$defs/", f"#/$defs/{choice.name}.")


def _moved(schema: Any, old: str, new: str, parent: str = "") -> Any:
    """The same schema, with its references (`$ref`, and a discriminator's `mapping`) to where its definitions stand now."""
    if isinstance(schema, list):
        return [_moved(each, old, new) for each in cast(list[Any], schema)]
    if isinstance(schema, Mapping):
        return {k: _moved(v, old, new, k if parent != "mapping" else parent) for k, v in cast(Mapping[str, Any], schema).items()}
    is_reference = parent in ("$ref", "mapping") and isinstance(schema, str) and schema.startswith(old)
    return new + schema.removeprefix(old) if is_reference else schema
