"""What vLLM does to the words before argparse sees them (`vllm.utils.argparse_utils`, 0.32 and 0.33).

Underscores in a flag become dashes, `-O3` is `--optimization-level 3`, `--model M` after `vllm serve` moves to the front, and
`--a.b.c v` is a key of the JSON that --a takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from .values import suffixed
from .words import Reading

__all__ = ["rewrite"]

_DEEPEST = 100
_LEVELS = frozenset("0123")


def rewrite(words: Sequence[str], reading: Reading) -> list[str]:
    """The words that argparse gets. What vLLM refuses by itself is noted in `reading`."""
    words = _model_first(words, reading)
    plain = list(_dashes(words))
    kept: list[str] = []
    nested: dict[str, dict[str, JsonValue]] = {}
    at = 0
    while at < len(plain):
        word = plain[at]
        at += 1
        head, equals, value = word.partition("=")
        if not word.startswith("-") or "." not in head:
            kept.append(word)
            continue
        if not equals:
            if at == len(plain):
                reading.error("missing", head, f"{head} needs a value, and there is none.")
                break
            value = plain[at]
            at += 1
        flag, *keys = head.removesuffix("+").split(".")
        if len(keys) > _DEEPEST:
            reading.error("mistyped", flag, f"{flag} has a key inside {len(keys)} others; vLLM can write no such JSON.")
            continue
        _merge(nested.setdefault(flag, {}), _nest(keys, _value(value, head.endswith("+"))))
    return kept + [word for flag, value in nested.items() for word in (flag, json.dumps(value))]


def _model_first(words: Sequence[str], reading: Reading) -> list[str]:
    at = next((i for i, w in enumerate(words) if w == "--model" or (w.startswith("--model=") and w != "--model=")), None)
    if at is not None and words[at] == "--model":
        if at + 1 == len(words):
            reading.error("missing", "--model", "--model needs a value, and there is none.")
            return list(words[:-1])
        words = [words[at + 1], *words[:at], *words[at + 2 :]]
    elif at is not None:
        words = [words[at].removeprefix("--model="), *words[:at], *words[at + 1 :]]
    named = any(re.fullmatch(r"(?s)--served[-_]model[-_]name(=.+)?", word) for word in words)
    config = any(re.fullmatch(r"(?s)--config(=.+)?", word) for word in words)
    if words and words[0].startswith("-") and named and not config:
        told = "vLLM wants the model first, before all flags, where --served-model-name is given."
        reading.error("missing", "model_tag", told)
    return list(words)


def _dashes(words: Sequence[str]) -> Iterator[str]:
    """Dashes for underscores in flags, up to the first dot; values stay as they are."""
    for at, word in enumerate(words):
        if word.startswith("--help="):
            yield "--help"
        elif word.startswith("--"):
            head, equals, value = word.partition("=")
            name, dot, keys = head.partition(".")
            yield name.replace("_", "-") + dot + keys + equals + value
        elif word.startswith("-O") and word != "-O":
            yield from ("--optimization-level", word[3:] if word[2] == "=" else word[2:])
        elif word == "-O" and at + 1 < len(words) and words[at + 1] in _LEVELS:
            yield "--optimization-level"
        else:
            yield word


def _value(word: str, is_list: bool) -> JsonValue:
    if is_list:
        return list(word.split(","))
    try:
        value: JsonValue = json.loads(word)
    except ValueError:
        try:
            return suffixed(word)
        except ValueError:
            return word
    return value


def _nest(keys: Sequence[str], value: JsonValue) -> dict[str, JsonValue]:
    for key in reversed(keys[1:]):
        value = {key: value}
    return {keys[0]: value}


def _merge(into: dict[str, JsonValue], more: dict[str, JsonValue]) -> None:
    """A key that is given again adds to an object or a list, and takes the place of anything else."""
    for key, value in more.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            into[key] = old + value
        else:
            into[key] = value
