"""The arguments of a call, from `key=value …`, a JSON object, or standard input."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from kimi_agent.cli.mcp.values import types_of, value_of
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import one_line
from kimi_agent.wire.open_json import Json, as_object

_FORMS = "write key=value, key:=JSON, one JSON object, or - to read one from standard input"


def read_arguments(words: Sequence[str], schema: Json) -> Json:
    """The arguments as the tool's schema wants them. Raises UserError, which says what to write.

    `key=value`: text where the schema takes text, else JSON. A key that is given several times, and whose schema is a list, makes
    a list. `key:=JSON` is JSON whatever the schema says.
    """
    if list(words) == ["-"]:
        return _object(sys.stdin.read() if sys.stdin is not None else "", "standard input")
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return _object(words[0], "the argument")
    properties = as_object(schema.get("properties")) or {}
    found: Json = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key in ("", ":"):
            raise UserError(f"{one_line(word, 60)!r} is no argument of a tool: {_FORMS}")
        if key.endswith(":"):
            found[key[:-1]] = _json(text, f"{key}=")
        else:
            _put(found, key, text, as_object(properties.get(key)) or {}, schema)
    return found


def _put(found: Json, key: str, text: str, schema: Json, root: Json) -> None:
    try:
        if types_of(schema, root) != {"array"}:
            if key in found:
                raise UserError("it is given twice, and is no list")
            found[key] = value_of(text, schema, root)
            return
        listed = found.setdefault(key, [])
        if text.lstrip().startswith("["):
            listed.extend(_json(text, f"{key}="))
        else:
            listed.append(value_of(text, as_object(schema.get("items")) or {}, root))
    except UserError as e:
        raise UserError(f"{one_line(key, 60)}: {e}") from None


def _object(text: str, where: str) -> Json:
    value = _json(text, where)
    if not isinstance(value, dict):
        raise UserError(f"{where} is {type(value).__name__}, and must be one JSON object: {_FORMS}")
    return value  # pyright: ignore[reportUnknownVariableType]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise UserError(f"{where} is no JSON: {e}") from None
