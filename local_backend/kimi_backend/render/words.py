"""Command words in which some parts are known only where they run, such as a node's rank."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..launch import Invocation

__all__ = ["Command", "Variable", "Word", "as_it_is", "fold", "marked", "text_of"]


@dataclass(frozen=True, slots=True)
class Variable:
    """`scale * value + offset` for the rank; the plain value for the others."""

    name: str
    """`rank`, `head` (address of the instance's first node), `host` (address that a server listens on), or a target's own."""
    scale: int = 1
    offset: int = 0


Word = tuple[str | Variable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What several ranks of an instance run."""

    ranks: range
    words: tuple[Word, ...]
    env: Mapping[str, Word]
    files: Mapping[str, str]


def as_it_is(invocation: Invocation, rank: int) -> Command:
    """One rank's invocation, all of it literal."""
    return Command(
        ranks=range(rank, rank + 1),
        words=tuple((word,) for word in invocation.argv),
        env={name: (value,) for name, value in invocation.env.items()},
        files=invocation.files,
    )


def fold(invocations: Sequence[Invocation], first: int, marks: Mapping[str, str]) -> Command | None:
    """One command for all ranks from `first` on, or None where they differ in more than a number that counts up with the rank.

    Args:
        invocations: what each rank runs, in rank order.
        first: rank of the first of them.
        marks: texts that stand for a variable; no other text contains them.
    """
    head = invocations[0]
    if any(
        len(other.argv) != len(head.argv) or other.env.keys() != head.env.keys() or other.files != head.files
        for other in invocations
    ):
        return None
    words = [_fold([item.argv[at] for item in invocations], first, marks) for at in range(len(head.argv))]
    env = {name: _fold([item.env[name] for item in invocations], first, marks) for name in head.env}
    if None in words or None in env.values():
        return None
    return Command(
        ranks=range(first, first + len(invocations)),
        words=tuple(word for word in words if word is not None),
        env={name: word for name, word in env.items() if word is not None},
        files=head.files,
    )


def _fold(texts: Sequence[str], first: int, marks: Mapping[str, str]) -> Word | None:
    if len(set(texts)) == 1:
        return marked(texts[0], marks)
    found = [re.fullmatch(r"(.*?)(\d+)", text, re.DOTALL) for text in texts]
    parts = [(match[1], int(match[2])) for match in found if match]
    if len(parts) < len(texts) or len({prefix for prefix, _ in parts}) > 1:
        return None
    numbers = [number for _, number in parts]
    step = numbers[1] - numbers[0]
    if step < 1 or any(number != numbers[0] + step * at for at, number in enumerate(numbers)) or numbers[0] < step * first:
        return None
    return (*marked(parts[0][0], marks), Variable("rank", step, numbers[0] - step * first))


def marked(text: str, marks: Mapping[str, str]) -> Word:
    """The text with a variable wherever one of the marks stands."""
    if not marks:
        return (text,) if text else ()
    pieces = re.split("(" + "|".join(map(re.escape, marks)) + ")", text)
    return tuple(Variable(marks[piece]) if piece in marks else piece for piece in pieces if piece)


def text_of(word: Word, values: Mapping[str, str]) -> str:
    """The word as it arrives where the variables have these values."""
    return "".join(part if isinstance(part, str) else _value(part, values) for part in word)


def _value(variable: Variable, values: Mapping[str, str]) -> str:
    if variable.name == "rank":
        return str(variable.scale * int(values["rank"]) + variable.offset)
    return values[variable.name]
