"""Splits a command line into options and their words, as argparse and click do.

argparse (Python 3.11 to 3.13): a unique beginning of a long flag stands for it, `--a=b` is `--a b`, a word that looks like a
flag is never a value (a negative number is), and an option takes all words that it may before the next flag. click: no
beginnings, and an option takes the next word whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .options import Option
from .problems import Problem, nearest

__all__ = ["Reading", "Use", "read_argparse", "read_click"]

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")


@dataclass(frozen=True, slots=True)
class Use:
    """An option, once on the command line."""

    option: Option
    flag: str
    """The full spelling; the engine's name of a positional argument."""
    written: str
    words: tuple[str, ...]


@dataclass(slots=True)
class Reading:
    """What a command line says, and what is wrong with how it is put together."""

    uses: list[Use] = field(default_factory=list[Use])
    problems: list[Problem] = field(default_factory=list[Problem])

    def error(self, kind: str, flag: str, text: str, successor: str | None = None) -> None:
        """Notes what the engine refuses."""
        assert kind in ("unknown", "ambiguous", "missing", "mistyped")
        self.problems.append(Problem(severity="error", kind=kind, flag=flag, text=text, successor=successor))


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that looks like a flag: the flags that it may be, and what follows its `=`."""

    flags: tuple[str, ...]
    written: str
    value: str | None = None


def _classify(word: str, flags: Mapping[str, Option]) -> _Word | None:
    """None is a value, as argparse decides it: in this order."""
    if not word.startswith("-") or word == "-":
        return None
    if word in flags:
        return _Word((word,), word)
    head, equals, value = word.partition("=")
    if equals and head in flags:
        return _Word((head,), head, value)
    if word.startswith("--"):
        if found := tuple(f for f in flags if f.startswith(head)):
            return _Word(found, head, value if equals else None)
    elif found := tuple(f for f in flags if f == word[:2] or f.startswith(word)):
        joined = word[2:] if found == (word[:2],) else None  # -q8 is -q 8
        return _Word(found, word if joined is None else word[:2], joined)
    return None if _NEGATIVE_NUMBER.fullmatch(word) or " " in word else _Word((), head)


def read_argparse(words: Sequence[str], flags: Mapping[str, Option], positionals: Sequence[Option]) -> Reading:
    """Reads words as argparse does."""
    cut = words.index("--") if "--" in words else len(words)
    kinds = [_classify(word, flags) for word in words[:cut]]
    free, reading, at = list(positionals), Reading(), 0
    while at < cut:
        end = next((i for i in range(at + 1, cut) if kinds[i]), cut)
        if kind := kinds[at]:
            taken = _option(kind, words[at + 1 : end], flags, reading)
            rest = words[at + 1 + taken : end]
        else:
            rest = words[at:end]
        _positional(rest, free, reading)
        at = end
    if cut < len(words) and not free:
        reading.error("unknown", "--", "-- stands before words that belong to no flag, and none may come.")
    _positional(words[cut + 1 :], free, reading)
    return reading


def _positional(words: Sequence[str], free: list[Option], reading: Reading) -> None:
    for word in words:
        if free:
            option = free.pop(0)
            reading.uses.append(Use(option, option.dest, word, (word,)))
        else:
            reading.error("unknown", word, f"{word!r} belongs to no flag.")


def _option(word: _Word, values: Sequence[str], flags: Mapping[str, Option], reading: Reading) -> int:
    """Notes one option; the number of its words. All words after an unknown flag are taken to be its own."""
    if len(word.flags) != 1:
        _unresolved(word, flags, reading)
        return len(values)
    flag = word.flags[0]
    option = flags[flag]
    if word.value is not None:
        _explicit(option, flag, word, reading)
        return 0
    least, most = _bounds(option)
    if len(values) < least:
        told = "a value" if least == 1 else f"{least} values"
        reading.error("missing", word.written, f"{flag} needs {told}, and there {_is_are(len(values))}.")
        return len(values)
    taken = min(len(values), most)
    reading.uses.append(Use(option, flag, word.written, tuple(values[:taken])))
    return taken


def _is_are(count: int) -> str:
    return {0: "is none", 1: "is one"}.get(count, f"are {count}")


def _explicit(option: Option, flag: str, word: _Word, reading: Reading) -> None:
    """`--flag=value`: exactly one value."""
    least, most = _bounds(option)
    if most == 0:
        reading.error("mistyped", word.written, f"{flag} takes no value; leave out ={word.value}.")
    elif least > 1:
        reading.error("missing", word.written, f"{flag} needs {least} values, and there is one.")
    else:
        reading.uses.append(Use(option, flag, word.written, (word.value or "",)))


def _bounds(option: Option) -> tuple[int, int]:
    """Least and most words of an option."""
    if not option.takes_words:
        return 0, 0
    if isinstance(option.nargs, int):
        return option.nargs, option.nargs
    return {None: (1, 1), "?": (0, 1), "*": (0, 10**9), "+": (1, 10**9)}[option.nargs]


def _unresolved(word: _Word, flags: Mapping[str, Option], reading: Reading) -> None:
    if word.flags:
        told = f"{word.written} may be any of {', '.join(word.flags)}; write the one that is meant."
        reading.error("ambiguous", word.written, told)
        return
    near = nearest(word.written, list(flags))
    told = f" Flags like it: {', '.join(near)}." if near else ""
    reading.error("unknown", word.written, f"There is no flag {word.written}.{told}", near[0] if len(near) == 1 else None)


def read_click(words: Sequence[str], flags: Mapping[str, Option], positionals: Sequence[Option]) -> Reading:
    """Reads words as click does."""
    free, reading, at = list(positionals), Reading(), 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            _positional(words[at:], free, reading)
            break
        if not word.startswith("-") or word == "-":
            _positional([word], free, reading)
            continue
        head, equals, value = word.partition("=")
        found = _Word((head,) if head in flags else (), head, value if equals else None)
        follows = bool(found.flags) and not equals and flags[head].takes_words
        _option(found, words[at : at + 1] if follows else (), flags, reading)
        at += follows
    return reading
