"""Turns a word into a value as the engine's own converter does. The names are those that `snapshot.py` gives these converters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal

from pydantic import JsonValue

__all__ = ["CONVERTERS", "convert", "suffixed"]

_SI = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_IEC = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_SHORT_NUMBER = re.compile(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b")


def _si(word: str) -> int:
    """SGLang: 1k is 1000, 1Ki is 1024."""
    text = word.strip()
    for suffix, factor in _IEC.items():
        if text.endswith(suffix) and text[:-2].isdecimal():
            return int(text[:-2]) * factor
    if text[-1:] in _SI and _NUMBER.fullmatch(text[:-1]):
        return int(Decimal(text[:-1]) * _SI[text[-1]])
    return int(text)


def suffixed(word: str) -> int:
    """vLLM: 1k is 1000, 1K is 1024.

    Raises:
        ValueError: it is no whole number.
    """
    text = word.strip()
    if text[-1:] in _DECIMAL and _NUMBER.fullmatch(text[:-1]):
        return int(float(text[:-1]) * _DECIMAL[text[-1]])
    if text[-1:] in _BINARY and _NUMBER.fullmatch(text[:-1]):
        return int(text[:-1]) * _BINARY[text[-1]]
    return int(text)


def _suffixed_or_auto(word: str) -> int:
    return -1 if word.strip().lower() == "auto" else suffixed(word)


def _json(word: str) -> JsonValue:
    value: JsonValue = json.loads(word)
    return value


def _json_object(word: str) -> JsonValue:
    if not isinstance(value := _json(word), dict):
        raise ValueError("it must be a JSON object")
    return value


def _json_numbers(word: str) -> JsonValue:
    """vLLM's own JSON, in which a bare 80m is 80,000,000."""
    parts = _QUOTED.split(word)
    parts[::2] = [_SHORT_NUMBER.sub(lambda m: str(suffixed(m.group())), part) for part in parts[::2]]
    return _json_object("".join(parts))


def _json_or_text(word: str) -> JsonValue:
    return _json(word) if re.fullmatch(r"(?s)\s*{.*}\s*", word) else word


def _ids(word: str) -> JsonValue:
    return [int(part) if part.isdigit() else part for part in (p.strip() for p in word.split(","))]


CONVERTERS: dict[str, Callable[[str], JsonValue]] = {
    "str": str,
    "int": int,
    "float": float,
    "json": _json,
    "json-object": _json_object,
    "json-numbers": _json_numbers,
    "json-or-str": _json_or_text,
    "int-si": _si,
    "int-suffix": suffixed,
    "int-suffix-auto": _suffixed_or_auto,
    "lower-underscore": lambda word: word.lower().replace("-", "_"),
    "ids": _ids,
    "str-none": lambda word: "" if word.lower() == "none" else word,
}
_TOLD = {
    "int": "a whole number",
    "float": "a number",
    "int-si": "a whole number such as 131072 or 128Ki",
    "int-suffix": "a whole number such as 8192 or 8k",
    "int-suffix-auto": "a whole number such as 131072 or 128K, or auto",
}


def convert(kind: str, word: str) -> JsonValue:
    """The value of a word.

    Args:
        kind: A name of `CONVERTERS`; with `?` at its end, "" and "None" are None.
        word: As it stands on the command line.

    Raises:
        ValueError: what the value must be, in words that follow "must be".
    """
    if kind.endswith("?"):
        if word in ("", "None"):
            return None
        kind = kind[:-1]
    try:
        return CONVERTERS[kind](word)
    except (ValueError, ArithmeticError) as error:
        told = _TOLD.get(kind) or ("a JSON object" if kind in ("json-object", "json-numbers") else "JSON")
        raise ValueError(told) from error
