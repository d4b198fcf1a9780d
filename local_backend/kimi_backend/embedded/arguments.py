"""From what the model wrote to an arguments object that is sent: unsure optional members go, the schema is checked."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from .runtime import Completion
from .schema import JsonObject, compact, properties, split_keys

__all__ = ["finish", "invented", "leaves", "plain", "unsaid", "valid"]

#: An optional member stays when the model was this sure of it …
SURE = 0.97
#: … or this sure, and its value is found in the conversation.
LIKELY = 0.4

_NUMBERS: dict[float, str] = {
    1: "one|single", 2: "two|both|pair", 3: "three", 4: "four", 5: "five", 6: "six",
    7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve|dozen",
}  # fmt: skip
_DIGITS = ["零", "一", "二两", "三", "四", "五", "六", "七", "八", "九", "十", "十", "十"]


@dataclass(frozen=True, slots=True)
class _Member:
    """A top-level member in the text: where the comma (or brace) before it stands, in bytes."""

    key: str
    offset: int


def finish(done: Completion, schema: JsonObject, spoken: str, lead: str) -> str | None:
    """The arguments as JSON text, or None when they do not parse or do not fit the schema.

    `lead` is what the prompt held of them already; the text ends with the closing brace of the call. `spoken` is all
    text of the conversation. A small model likes to fill optional members that nobody asked for; the probability that
    it gave to closing the object instead tells which.
    """
    text = (lead + done.text)[1:-1]
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    if not isinstance(parsed, dict):
        return None
    arguments = cast(JsonObject, parsed)
    _, optional = split_keys(schema)
    haystack = plain(spoken)
    for member in _members(text):
        if member.key in optional and member.key in arguments:
            odds = _odds(done, member.offset + 1 - len(lead.encode()))
            if odds < (LIKELY if _said(member.key, arguments[member.key], haystack) else SURE):
                del arguments[member.key]
    if not valid(arguments, schema):
        for key in [k for k in optional if k in arguments]:
            if not valid(arguments, schema):
                del arguments[key]
    return compact(arguments) if valid(arguments, schema) else None


def valid(arguments: object, schema: JsonObject) -> bool:
    """Whether a value fits a schema; a schema that is itself broken admits everything."""
    jsonschema = cast("Any", importlib.import_module("jsonschema"))
    validator = jsonschema.Draft202012Validator(schema)
    try:
        return bool(validator.is_valid(arguments))
    except (jsonschema.SchemaError, jsonschema.exceptions.UnknownType, re.error, TypeError):
        return True


def invented(arguments: str, spoken: str) -> bool:
    """Whether a number or a code stands in the arguments that nobody has said: it must come from a result."""
    haystack = plain(spoken)
    return any(_is_code(value) and not _grounded(value, haystack) for value in leaves(json.loads(arguments)))


def unsaid(arguments: str, schema: JsonObject, spoken: str) -> bool:
    """Whether a required number or text rests on nothing in the conversation.

    It may still be right (`USD` for dollars), but it is what a call looks like whose needed values are unknown. Choices of
    an enum are not looked at, nor texts beside Chinese ones, which may be translations.
    """
    given = cast(JsonObject, json.loads(arguments))
    haystack, foreign = plain(spoken), re.search(r"[\u3400-\u9fff]", spoken) is not None
    values = [v for k in split_keys(schema)[0] if "enum" not in properties(schema).get(k, {}) for v in leaves(given.get(k))]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    texts = [v for v in values if isinstance(v, str) and not foreign]
    said = all(_grounded(v, haystack) or _spelled_out(v, spoken) for v in numbers)
    return not (said and all(_words(v, haystack) for v in texts))


def _spelled_out(value: float, spoken: str) -> bool:
    """Whether a small number is said as a word."""
    words = _NUMBERS.get(value, "")
    return bool(words) and re.search(rf"\b({words})\b|[{_DIGITS[int(value)]}]", spoken, re.IGNORECASE) is not None


def _words(text: str, haystack: str) -> bool:
    """Whether at least half of the words of a text are found."""
    words = [w.casefold() for w in re.findall(r"\w+", text)]
    return 2 * sum(w.replace("_", "") in haystack or w.removesuffix("s") in haystack for w in words) >= len(words)


def _is_code(value: object) -> bool:
    if isinstance(value, str):
        return sum(c.isdigit() for c in value) >= 3 and re.fullmatch(r"[\w#-]+", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > 2


def plain(text: str) -> str:
    """A text without case, space and punctuation, for finding one in another."""
    return re.sub(r"[\s\-_.,:/!?'\"#]", "", text).casefold()


def _said(key: str, value: object, haystack: str) -> bool:
    """Whether the conversation holds the value; for a switch that is on, a word of its name."""
    if value is True:
        return any(len(word) > 3 and word.casefold() in haystack for word in re.findall(r"[A-Za-z][a-z]+", key))
    return _grounded(value, haystack)


def _grounded(value: object, haystack: str) -> bool:
    values = list(leaves(value))
    return bool(values) and all(not isinstance(v, bool) and plain(_spelled(v)) in haystack for v in values if v != "")


def _spelled(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in cast(JsonObject, value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from leaves(item)
    else:
        yield value


def _members(text: str) -> Iterator[_Member]:
    """Top-level members of an object in its text, in order."""
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text) and text[position] in "{,":
        start = position
        position += 1 if text[position] == "{" else 2  # the grammar writes ", "
        if text[position : position + 1] != '"':
            return
        key, position = decoder.raw_decode(text, position)
        yield _Member(str(key), len(text[:start].encode()))
        _, position = decoder.raw_decode(text, position + 2)  # and ": "


def _odds(done: Completion, offset: int) -> float:
    """The model's probability of going on with a member, against closing the object, where the member begins.

    Tokens do not end where values do (`"},` is one), so the alternatives are compared from the same place on.
    """
    position = 0
    for chosen, top in zip(done.chosen, done.top, strict=False):
        if position <= offset < position + len(chosen):
            before = chosen[: offset - position].decode(errors="ignore")
            rests = [(t.removeprefix(before), p) for t, p in top if t.startswith(before)]
            go = sum(math.exp(p) for t, p in rests if t.startswith((",", "{")) and not t.startswith("{}"))
            close = sum(math.exp(p) for t, p in rests if t.startswith(("}", "{}")))
            return go / (go + close) if go + close else 0.0
        position += len(chosen)
    return 1.0
