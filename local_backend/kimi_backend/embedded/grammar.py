"""JSON Schema → GBNF: what a tool's arguments may look like, token by token.

Our own translation instead of the runtime's, for three reasons: white space is fixed (a small model can wander in it
for ever), numbers and lists are bounded (so that every object closes), and required keys come first (so that optional
ones can be refused when the model is not sure of them).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from .schema import JsonObject, properties, split_keys

__all__ = ["call_grammar", "literal", "one_of", "value_grammar"]

#: Enumerate an integer range up to this many values; larger ranges are checked after generation.
MAX_ENUMERATED = 200
MAX_ITEMS = 24
MAX_OPTIONAL = 24

_CHAR = r'[^"\\\x00-\x1f\x7f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
_FORMATS = {
    "date": r'"\"" [0-9]{4} "-" [0-1] [0-9] "-" [0-3] [0-9] "\""',
    "time": r'"\"" [0-2] [0-9] ":" [0-5] [0-9] (":" [0-5] [0-9] ("Z" | [+-] [0-2] [0-9] ":" [0-5] [0-9])?)? "\""',
    "date-time": r'"\"" [0-9]{4} "-" [0-1] [0-9] "-" [0-3] [0-9] "T" [0-2] [0-9] ":" [0-5] [0-9] ":" [0-5] [0-9]'
    r' ("Z" | [+-] [0-2] [0-9] ":" [0-5] [0-9]) "\""',
}


def literal(text: str) -> str:
    """A GBNF literal that matches exactly `text`."""
    return json.dumps(text, ensure_ascii=False)


def one_of(texts: list[str]) -> str:
    """A whole grammar that admits one of some texts."""
    return "root ::= " + " | ".join(literal(t) for t in texts)


def call_grammar(schema: JsonObject, *, lead: str, short: bool = False) -> str:
    """The grammar of what follows `"arguments":` in a call, closing brace of the call included.

    `lead` is the beginning that the prompt has already: ` {"key":` of the first required member, or nothing.
    `short` bounds every text and list, for a second attempt.
    """
    builder = _Builder(short)
    body = builder.members({"type": "object", **schema}, lead=bool(lead))
    return builder.whole(f'" " {body} "}}"')


def value_grammar(schema: JsonObject, *, short: bool = False) -> str:
    """A whole grammar for one value of a resolved schema; an empty schema admits any object."""
    builder = _Builder(short)
    return builder.whole(builder.value(schema or {"type": "object"}))


class _Builder:
    """Collects rules. Names are `r0`, `r1` …; the shared ones are spelled out."""

    def __init__(self, short: bool) -> None:
        self.rules: dict[str, str] = {}
        self.short = short

    def whole(self, root: str) -> str:
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self.rules.items())])

    def shared(self, name: str, make: Callable[[], str]) -> str:
        if name not in self.rules:
            self.rules[name] = ""  # reserved first: rules may be recursive
            self.rules[name] = make()
        return name

    def rule(self, body: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name

    def value(self, schema: JsonObject) -> str:
        if "const" in schema:
            return literal(_dump(schema["const"]))
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self.rule(" | ".join(literal(_dump(v)) for v in cast("list[Any]", schema["enum"])))
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                base = {k: v for k, v in schema.items() if k in ("type", "properties", "required")}
                parts = [self.value({**base, **s}) for s in cast("list[JsonObject]", schema[key])]
                return self.rule(" | ".join(dict.fromkeys(parts)))
        kind = schema.get("type")
        if isinstance(kind, list):
            parts = [self.value({**schema, "type": k}) for k in cast("list[str]", kind)]
            return self.rule(" | ".join(dict.fromkeys(parts)))
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "any"
        return self._of_kind(str(kind), schema)

    def _of_kind(self, kind: str, schema: JsonObject) -> str:
        if kind in ("object", "dict"):
            return self.members(schema)
        if kind in ("array", "tuple"):
            return self._array(schema)
        if kind in ("integer", "number", "float"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return '("true" | "false")'
        if kind == "null":
            return '"null"'
        return self._string(schema) if kind == "string" else self._any()

    def _string(self, schema: JsonObject) -> str:
        if schema.get("format") in _FORMATS:
            return self.shared(f"f-{schema['format']}", lambda: _FORMATS[schema["format"]])
        char = self.shared("char", lambda: _CHAR)
        low, high = int(schema.get("minLength") or 0), schema.get("maxLength")
        if self.short:
            high = min(int(high or 48), 48)
        if (isinstance(high, int) and high <= 256) or low:
            top = str(high) if isinstance(high, int) and high <= 256 else ""
            return self.rule(rf'"\"" {char}{{{min(low, 256)},{top}}} "\""')
        return self.shared("string", lambda: rf'"\"" {char}* "\""')

    def _number(self, schema: JsonObject, *, whole: bool) -> str:
        low, high = _bounds(schema)
        step = schema.get("multipleOf")
        if whole and low is not None and high is not None and 0 <= high - low < MAX_ENUMERATED:
            values = [n for n in range(int(low), int(high) + 1) if not isinstance(step, int) or n % step == 0]
            return self.rule(" | ".join(f'"{n}"' for n in values) or '"0"')
        sign = "" if low is not None and low >= 0 else '"-"? '
        digits = rf'{sign}("0" | [1-9] [0-9]{{0,15}})'
        if whole:
            return self.rule(digits)
        return self.rule(rf'{digits} ("." [0-9]{{1,8}})?')

    def _array(self, schema: JsonObject) -> str:
        if isinstance(schema.get("prefixItems"), list):
            parts = [self.value(s) for s in cast("list[JsonObject]", schema["prefixItems"])]
            return self.rule('"[" ' + ' ", " '.join(parts) + ' "]"')
        items = schema.get("items")
        item = self.rule(self.value(cast(JsonObject, items) if isinstance(items, dict) else {}))
        low, high = int(schema.get("minItems") or 0), int(schema.get("maxItems") or MAX_ITEMS)
        high = max(low, min(high, 6 if self.short else MAX_ITEMS))
        if high == 0:
            return '"[]"'
        some = rf'"[" {item} (", " {item}){{{max(low - 1, 0)},{high - 1}}} "]"'
        return self.rule(some if low else f'"[]" | {some}')

    def members(self, schema: JsonObject, *, lead: bool = False) -> str:
        """An object; with `lead`, what follows the first required member's colon and space."""
        required, optional = split_keys(schema)
        members = properties(schema)
        if not members and not required:
            closed = "properties" in schema and not schema.get("additionalProperties")
            return '"{}"' if closed or schema.get("additionalProperties") is False else self._free_object(schema)
        pairs = {k: self.rule(f"{literal(_dump(k) + ': ')} {self.value(members.get(k, {}))}") for k in required}
        for key in optional[:MAX_OPTIONAL]:
            pairs[key] = self.rule(f"{literal(_dump(key) + ': ')} {self.value(members[key])}")
        optional = optional[:MAX_OPTIONAL]
        head = ' ", " '.join(pairs[k] for k in required)
        if lead:
            rest = "".join(f' ", " {pairs[k]}' for k in required[1:])
            head = f"{self.value(members.get(required[0], {}))}{rest}"
        brace = "" if lead else '"{" '
        if not optional:
            return self.rule(f'{brace}{head} "}}"')
        # Optional members come in any order; `arguments.finish` removes a repeated one.
        some = self.rule(" | ".join(pairs[k] for k in optional))
        if required:
            return self.rule(f'{brace}{head} (", " {some}){{0,{len(optional)}}} "}}"')
        return self.rule(f'"{{" ({some} (", " {some}){{0,{len(optional)}}})? "}}"')

    def _free_object(self, schema: JsonObject) -> str:
        extra = schema.get("additionalProperties")
        value = self.value(cast(JsonObject, extra) if isinstance(extra, dict) else {})
        pair = self.rule(rf'{self._string({})} ": " {value}')
        return self.rule(rf'"{{" ({pair} (", " {pair}){{0,{MAX_ITEMS}}})? "}}"')

    def _any(self) -> str:
        """Any JSON value, nested at most twice."""

        def scalar() -> str:
            return f'{self._string({})} | {self._number({}, whole=False)} | "true" | "false" | "null"'

        def nested(inner: str) -> str:
            pair = rf'{self._string({})} ": " {inner}'
            array = rf'"[" ({inner} (", " {inner}){{0,{MAX_ITEMS}}})? "]"'
            return rf'{inner} | {array} | "{{" ({pair} (", " {pair}){{0,{MAX_ITEMS}}})? "}}"'

        base = self.shared("any-scalar", scalar)
        middle = self.shared("any-flat", lambda: nested(base))
        return self.shared("any", lambda: nested(middle))


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bounds(schema: JsonObject) -> tuple[float | None, float | None]:
    """(lowest, highest) allowed; an exclusive bound of an integer moves by one."""
    low, high = schema.get("minimum"), schema.get("maximum")
    step = 1 if schema.get("type") == "integer" else 0
    if isinstance(schema.get("exclusiveMinimum"), int | float):
        low = schema["exclusiveMinimum"] + step
    if isinstance(schema.get("exclusiveMaximum"), int | float):
        high = schema["exclusiveMaximum"] - step
    return (low if isinstance(low, int | float) else None, high if isinstance(high, int | float) else None)
