"""What a scripted checkpoint says: turns in K2's wire form, and their cut into pieces.

The model built for a script sees the piece that it has just said and the few before it. So a text is cut finely, as engines
stream it, but pieces are joined where the same few pieces would have to be followed by different ones.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from .errors import TinyError
from .tokenizer import MARKERS, SPECIAL

__all__ = ["END", "HEADER", "WINDOW", "Call", "Context", "Turn", "contexts", "cut", "wire_text"]

#: What the chat template ends with when the model is to speak.
HEADER: Final = ("<|im_assistant|>", "assistant", "<|im_middle|>")
END: Final = "<|im_end|>"
#: Pieces that decide about the next one, the last one included.
WINDOW: Final = 5

_MARKER = re.compile("|".join(map(re.escape, MARKERS)))
_CONTROL = re.compile("|".join(map(re.escape, SPECIAL)))
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_PIECE = re.compile(r"\s?\w+|\s?[^\w\s]+|\s+")
#: As SGLang's and vLLM's parsers of K2's ids have it: `functions.NAME:0`.
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_CALL_BEGIN = "<|tool_call_begin|>"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of a script. `arguments`: a JSON text, which is said as it stands, or a mapping."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"


#: One message of the assistant: K2's text as it stands (markers are markers), a call, or text and calls in their order.
Turn: TypeAlias = str | Call | Sequence[str | Call]
#: The pieces that were just said, the last one first, up to `WINDOW` of them.
Context: TypeAlias = tuple[str, ...]


def wire_text(turns: Iterable[Turn]) -> list[str]:
    """Each turn as the model says it, without the `<|im_end|>` at its end. Calls get K2's ids, counted over the conversation.

    Raises:
        TinyError: there is no turn, one says nothing, text follows a call, a call's name or arguments are none, or a turn holds a
            control token of the chat format.
    """
    found: list[str] = []
    calls = 0
    for turn in turns:
        text, calls = _one(turn, calls)
        if control := _CONTROL.search(text):
            raise TinyError(f"turn {len(found) + 1} holds {control[0]}, which would end or begin a message; leave it out")
        if surrogate := _SURROGATE.search(text):
            raise TinyError(
                f"turn {len(found) + 1} holds half of a character, {surrogate[0]!r}, which no UTF-8 text can; leave it out"
            )
        if not text:
            raise TinyError(f"turn {len(found) + 1} says nothing; give it a text or a call")
        found.append(text)
    if not found:
        raise TinyError("a script needs at least one turn")
    return found


def _one(turn: Turn, calls: int) -> tuple[str, int]:
    """The turn's text, and how many calls there were by its end."""
    parts = [turn] if isinstance(turn, str | Call) else list(turn)
    first = next((at for at, part in enumerate(parts) if isinstance(part, Call)), len(parts))
    said = "".join(part for part in parts[:first] if isinstance(part, str))
    section: list[str] = []
    calls += said.count(_CALL_BEGIN)
    for part in parts[first:]:
        if not isinstance(part, Call):
            raise TinyError(f"the text {part!r} follows a call; K2 says its text first")
        if not _NAME.fullmatch(part.name):
            raise TinyError(f"no parser of K2's calls reads the name {part.name!r}; use letters, digits and _ . - only")
        section.append(f"{_CALL_BEGIN}functions.{part.name}:{calls}<|tool_call_argument_begin|>{_arguments(part)}<|tool_call_end|>")
        calls += 1
    if section:
        said += f"<|tool_calls_section_begin|>{''.join(section)}<|tool_calls_section_end|>"
    return said, calls


def _arguments(call: Call) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    try:
        return json.dumps(dict(call.arguments), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TinyError(f"the arguments of the call of {call.name} are no JSON: {error}") from error


def cut(text: str) -> list[str]:
    """The pieces of one turn, `<|im_end|>` at its end; no context among them has two different next pieces.

    Raises:
        TinyError: the same markers come round again with nothing between them that could tell them apart.
    """
    stretches, at = list[list[str]](), 0
    for marker in _MARKER.finditer(text):
        stretches += [_PIECE.findall(text[at : marker.start()]), [marker[0]]]
        at = marker.end()
    stretches += [_PIECE.findall(text[at:]), [END]]
    while clash := _clash(stretches):
        _join(stretches, clash)
    return [piece for stretch in stretches for piece in stretch]


def contexts(pieces: Sequence[str], header: Sequence[str] = HEADER) -> list[tuple[Context, str]]:
    """For each of `pieces`: what is before it, and the piece itself. `header`: what the turn begins with."""
    said = [*header, *pieces]
    return [(tuple(reversed(said[max(0, at - WINDOW) : at])), said[at]) for at in range(len(header), len(said))]


def _clash(stretches: Sequence[Sequence[str]]) -> list[int]:
    """Numbers of the pieces that follow equal contexts and are not the same; empty where there are none."""
    following: dict[Context, dict[int, str]] = defaultdict(dict)
    for at, (context, piece) in enumerate(contexts([p for stretch in stretches for p in stretch])):
        following[context][at] = piece
    return next((list(found) for found in following.values() if len(set(found.values())) > 1), list[int]())


def _join(stretches: list[list[str]], clash: Sequence[int]) -> None:
    """Joins the clashing pieces with those before them, or else, so that the window reaches further, two earlier ones."""
    where = [(s, p) for s, stretch in enumerate(stretches) for p in range(len(stretch))]
    joined = sorted({found for at in clash if (found := _pair(stretches, where, at))}, reverse=True)
    if not joined:
        said = "".join(stretches[s][p] for s, p in where[max(0, clash[0] - WINDOW) : clash[0]])
        raise TinyError(f"{said!r} comes twice and goes on differently; put something between that differs")
    for stretch, piece in joined:
        stretches[stretch][piece : piece + 2] = ["".join(stretches[stretch][piece : piece + 2])]


def _pair(stretches: Sequence[Sequence[str]], where: Sequence[tuple[int, int]], at: int) -> tuple[int, int] | None:
    """The nearest two neighbours of one stretch of which the second is no later than piece `at`; by where the first is."""
    return next(((s, p - 1) for s, p in (where[number] for number in range(at, -1, -1)) if p > 0), None)
