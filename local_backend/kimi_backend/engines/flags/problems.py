"""What can be wrong with a flag, said in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

__all__ = ["Kind", "Problem", "flags_of", "listed", "nearest", "printable"]

_SHORTEST, _LONGEST = 4, 200

Kind = Literal["unknown", "removed", "ambiguous", "missing", "mistyped", "help", "duplicated", "deprecated", "abbreviated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a command line."""

    severity: Literal["error", "warning"]
    """The engine refuses an error when it starts or soon after; it takes what is warned of."""
    kind: Kind
    flag: str
    """As it is written on the command line; the engine's name of what is missing."""
    text: str
    successor: str | None = None
    """What to write instead, where one thing is it."""


def listed(choices: Iterable[object]) -> str:
    """Choices as a sentence has them; only the first where there are many."""
    words = [str(c) for c in choices if c is not None]
    return ", ".join(words[:12]) + (f" and {len(words) - 12} more" if len(words) > 12 else "")


def nearest(word: str, names: Sequence[str], count: int = 3) -> list[str]:
    """The names that look most like a word, best first: as a whole, or else their beginnings (`--tpp` is like `--tp-size`).

    A word that is far longer than any name is like none; comparing it would take minutes.
    """
    if len(word) > _LONGEST:
        return []
    if found := get_close_matches(word, names, count, 0.7):
        return found
    beginnings: dict[str, list[str]] = {}
    for name in sorted(names, key=len):
        if name.startswith("--") and len(name) > len(word) > _SHORTEST:
            beginnings.setdefault(name[: len(word)], []).append(name)
    near = get_close_matches(word, list(beginnings), 1, 0.75)
    return beginnings[near[0]][:count] if near else []


def printable(text: str) -> str:
    """The text as one line that a terminal shows and does not obey."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def flags_of(text: str) -> list[str]:
    """The flags that a successor's text names: `--a-{x,y}=z` names --a-x and --a-y.

    >>> flags_of("--cuda-graph-backend-{decode,prefill}=disabled")
    ['--cuda-graph-backend-decode', '--cuda-graph-backend-prefill']
    """
    found: list[str] = []
    for word in text.split():
        head, brace, rest = word.partition("=")[0].partition("{")
        if word.startswith("-"):
            inner, _, tail = rest.partition("}")
            found += [head + middle + tail for middle in inner.split(",")] if brace else [head]
    return found
