"""Takes secrets out of JSON: of values, and of texts that hold JSON somewhere, whole, cut, malformed, or in strings of other JSON.

What can be decoded is decoded, so that escapes hide nothing. In the rest, `"name": value` is looked for, at any depth of escapes.
Every pass is linear in the text, or has a budget: what a model says is not ours.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from kimi_agent.redact import is_secret_name, redact
from kimi_agent.wire.open_json import as_object

_BRACKET_OR_NAME = re.compile(
    r"[{\[]|(?<!\\)(?P<escapes>\\*)(?P<quote>[\"'])(?P<name>[\w .$/-]{1,80})(?P=escapes)(?P=quote)\s*:\s*"
)
_MAY_BEGIN = re.compile(r"\{\s*[\"}]|\[\s*[\[{\"\]\-\dtfnNI]")
_QUOTE = re.compile(r"(?<!\\)(\\*)([\"'])")
_BRACKET_OR_QUOTE = re.compile(r"[{}\[\]]|(?<!\\)\\*[\"']")
_PLAIN = re.compile(r"(?:true|false|null|None|True|False)(?!\w)")
_NUMBER = re.compile(r"-?\d[\w.+-]*")
_BARE = re.compile(r"[^\s,}\])\"'\\]+")
_GOES_ON = re.compile(r"(?:\s|\\+[nrt])*(?:[,}\])]|\Z)")
_SCHEMA_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_SCHEMA_WORDS = re.compile(
    r"\$ref|type|anyOf|allOf|oneOf|not|enum|const|default|examples?|title|description|format|pattern|required|deprecated|nullable"
    r"|(?:exclusive)?(?:Min|Max|min|max)imum|(?:min|max)(?:Length|Items)|multipleOf|items|prefixItems|uniqueItems"
    r"|properties|additionalProperties|(?:write|read)Only"
)
_SCHEMA_VALUES = frozenset({"default", "examples", "example", "const", "enum"})
_DEAREST = 100  # units of the budget a character: some failed attempts to decode, each of which may read to the end


@dataclass(frozen=True, slots=True)
class Mask:
    """Takes secrets out of a text.

    Attributes:
        of_text: what is done to a text.
        sign: what it puts in the place of a secret.
    """

    of_text: Callable[[str], str]
    sign: str

    def __call__(self, text: str) -> str:
        return self.of_text(text)


def mask_value(value: Any, mask: Mask) -> Any:
    """`value`, plain JSON data, with every string in it masked, and what stands under a name such as `api_key`."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [mask_value(v, mask) for v in cast(list[Any], value)]
    if (told := as_object(value)) is None:
        return value
    if told.get("format") == "password" and _is_schema(told):
        return _hidden_schema(told, "password", mask)
    pair = any(isinstance(name := told.get(key), str) and is_secret_name(name) for key in ("name", "key", "header"))
    shown = {redact(k, mask.sign): hide(v, k, mask) if is_secret_name(k) else mask_value(v, mask) for k, v in told.items()}
    return shown | {"value": hide(told["value"], "", mask)} if pair and "value" in told else shown


def hide(value: Any, name: str, mask: Mask) -> Any:
    """What stands under a secret name: its form stays, and whether there is anything. Of a JSON schema, which tells what such a
    field is, only the values that it gives are secret."""
    if isinstance(value, str):
        return mask.sign if value else value
    if isinstance(value, list):
        return [hide(v, name, mask) for v in cast(list[Any], value)]
    if (told := as_object(value)) is not None:
        return (
            _hidden_schema(told, name, mask)
            if _is_schema(told)
            else {redact(k, mask.sign): hide(v, name, mask) for k, v in told.items()}
        )
    return mask.sign if _is_secret_number(value, name) else value


def _is_secret_number(value: Any, name: str) -> bool:
    """`secrets: 3` counts them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not name.lower().endswith("s")


def _is_schema(told: dict[str, Any]) -> bool:
    kinds = told.get("type")
    typed = bool(kinds) and all(k in _SCHEMA_TYPES for k in (cast(list[Any], kinds) if isinstance(kinds, list) else [kinds]))
    refers = isinstance(told.get("$ref"), str) or any(isinstance(told.get(k), list) for k in ("anyOf", "allOf", "oneOf"))
    return (typed or refers) and all(map(_SCHEMA_WORDS.fullmatch, told))


def _hidden_schema(schema: Any, name: str, mask: Mask) -> Any:
    if (told := as_object(schema)) is not None:
        return {k: hide(v, name, mask) if k in _SCHEMA_VALUES else _hidden_schema(v, name, mask) for k, v in told.items()}
    if isinstance(schema, list):
        return [_hidden_schema(v, name, mask) for v in cast(list[Any], schema)]
    return mask_value(schema, mask)


def mask_json_in(text: str, mask: Mask) -> str:
    """`text` with the JSON in it masked. `mask` is for the strings in it, which may hold JSON themselves."""
    done: list[str] = []
    at = look = 0
    decoder = _Decoder(text, mask)
    while (found := _BRACKET_OR_NAME.search(text, look)) is not None:
        name: str | None = found["name"]
        if name is None:
            begin, whole = found.start(), decoder.masked(found.start())
        elif is_secret_name(name):
            begin = found.end()
            whole = decoder.hidden(begin, name) or _hidden_text(text, begin, name, found["escapes"], mask)
        else:
            begin, whole = found.end(), None
        if whole is None:
            look = found.end()
            continue
        done += [text[at:begin], whole[0]]
        at = look = whole[1]
    return "".join([*done, text[at:]]) if done else text


class _Decoder:
    """Decodes JSON that stands somewhere in a text. It gives up when all the attempts that failed have cost too much."""

    def __init__(self, text: str, mask: Mask) -> None:
        self._text, self._mask = text, mask
        self._decoder = json.JSONDecoder(strict=False, object_pairs_hook=_object)
        self._budget = _DEAREST * (len(text) + 1000)

    def masked(self, at: int) -> tuple[str, int] | None:
        """The JSON that begins here, masked, and where it ends; None where there is none."""
        return self._decoded(at, lambda value: mask_value(value, self._mask))

    def hidden(self, at: int, name: str) -> tuple[str, int] | None:
        """The same for the list or the object that stands under a secret name."""
        return self._decoded(at, lambda value: hide(value, name, self._mask)) if self._text[at : at + 1] in ("{", "[") else None

    def _decoded(self, at: int, change: Callable[[Any], Any]) -> tuple[str, int] | None:
        if self._budget < 0 or _MAY_BEGIN.match(self._text, at) is None:
            return None
        try:
            value, end = self._decoder.raw_decode(self._text, at)
            changed = change(value)
            return (self._text[at:end] if changed == value else json.dumps(changed, ensure_ascii=False)), end
        except (ValueError, RecursionError) as error:
            stopped = error.pos if isinstance(error, json.JSONDecodeError) else len(self._text)
            self._budget -= stopped + 20 * (stopped - at)  # the error counts the lines before it
            return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice: what stood under the first would not be looked at")
    return made


def _hidden_text(text: str, at: int, name: str, escapes: str, mask: Mask) -> tuple[str, int] | None:
    """What stands here under a secret name, in text that is no JSON, masked, and where it ends; None where nothing is secret."""
    if (quote := _QUOTE.match(text, at)) is not None:
        close, end = _string_end(text, quote)
        return None if close == quote.end() else (f"{quote[0]}{mask.sign}{text[close:end]}", end)
    if _PLAIN.match(text, at) is not None:
        return None
    if text[at : at + 1] in ("{", "["):
        return f'{escapes}"{mask.sign}{escapes}"', _container_end(text, at)
    number = _NUMBER.match(text, at)
    if number is not None and name.lower().endswith("s"):
        return None
    bare = number or _BARE.match(text, at)
    return None if bare is None else (f'{escapes}"{mask.sign}{escapes}"', bare.end())


def _string_end(text: str, opening: re.Match[str]) -> tuple[int, int]:
    """Where a string's closing quote begins, and where it ends; twice the end of the text where it was cut.

    In JSON that stands in a string of other JSON, quotes have a backslash before them, one level further three, then seven; a quote
    with fewer ends what is around it. More stand before a quote in the string, or before the last one, if the string ends in a
    backslash: then the JSON goes on behind it.
    """
    escapes = len(opening[1])
    for quote in _QUOTE.finditer(text, opening.end()):
        more = len(quote[1]) - escapes
        if quote[2] != opening[2] or (more > 0 and (_is_escaped(len(quote[1]), escapes) or not _GOES_ON.match(text, quote.end()))):
            continue
        return (quote.start() if more < 0 else quote.end() - len(opening[0])), quote.end()
    return len(text), len(text)


def _is_escaped(slashes: int, escapes: int) -> bool:
    for _ in range(escapes.bit_length()):
        slashes //= 2
    return slashes % 2 == 1


def _container_end(text: str, at: int) -> int:
    depth = 0
    while (found := _BRACKET_OR_QUOTE.search(text, at)) is not None:
        at = found.end()
        if found[0] in "{[":
            depth += 1
        elif found[0] in "}]":
            depth -= 1
            if not depth:
                return at
        elif (quote := _QUOTE.match(text, found.start())) is not None:
            at = _string_end(text, quote)[1]
    return len(text)
