"""What was typed, as the value that a JSON Schema wants."""

import json
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.observe.plain import one_line
from kimi_agent.wire.open_json import Json, as_list, as_object

_TYPES: dict[type[Any], str] = {
    dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"
}  # fmt: skip
_WORDS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}
_DEEPEST = 20


def value_of(text: str, schema: Json, root: Json | None = None) -> Any:
    """JSON where the schema takes such a value, else the text itself. Raises UserError where it takes neither.

    `root` is where `$ref`s of the schema lead to.
    """
    wanted = types_of(schema, root or schema)
    if wanted == {"boolean"} and text.strip().lower() in _WORDS:
        return _WORDS[text.strip().lower()]
    if wanted == {"string"}:
        return text
    try:
        read: Any = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _as_text(text, wanted)
    kind = _kind(read)
    if not wanted or kind in wanted or (kind == "integer" and "number" in wanted):
        return read
    if kind == "number" and "integer" in wanted and read.is_integer():
        return int(read)
    return _as_text(text, wanted)


def types_of(schema: Json, root: Json, depth: int = 0) -> set[str]:
    """The JSON types that a schema names, through `$ref`s, branches and enumerated values; empty where it names none."""
    if depth > _DEEPEST:
        return set()
    if target := _target(schema.get("$ref"), root):
        return types_of(target, root, depth + 1)
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if named:
        return {t for t in as_list(named) if isinstance(t, str)}
    values = as_list(schema.get("enum")) or ([schema["const"]] if "const" in schema else [])
    found = {_kind(v) for v in values}
    for key in ("anyOf", "oneOf", "allOf"):
        for each in as_list(schema.get(key)):
            found |= types_of(as_object(each) or {}, root, depth + 1)
    return found


def _as_text(text: str, wanted: set[str]) -> str:
    if wanted and "string" not in wanted:
        raise UserError(f"{one_line(text, 60)!r} is no {' or '.join(sorted(wanted))}")
    return text


def _kind(value: object) -> str:
    return _TYPES.get(type(value), "")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _target(reference: Any, root: Json) -> Json | None:
    """What a reference inside of the document leads to."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    here: Any = root
    for step in reference[2:].split("/"):
        here = (as_object(here) or {}).get(step.replace("~1", "/").replace("~0", "~"))
    return as_object(here)
