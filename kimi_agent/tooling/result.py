"""What a tool returns, as what the model sees."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from kimi_agent.messages import Content, File, Image, Part, Text, parts_of

MAX_RESULT_CHARS = 50_000


@dataclass(frozen=True, slots=True)
class ToolResult:
    """For tools that want to say exactly what the model sees.

    Attributes:
        content: text, images, files, or a list of them; anything else becomes JSON, as where a tool returns it.
        is_error: whether the model should read it as a failure.
        value: for the reader of the events (`ToolEnd.value`), never sent.
    """

    content: Content
    is_error: bool = False
    value: Any = None

    def __post_init__(self) -> None:
        given: Any = self.content
        parts = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not (parts and all(isinstance(p, str | Text | Image | File) for p in parts)):  # pyright: ignore[reportUnknownVariableType]
            object.__setattr__(self, "content", to_content(given if parts is None else parts))
        else:
            object.__setattr__(self, "content", parts)


@dataclass(frozen=True, slots=True)
class Pending:
    """Returned by a tool, or an approver, whose answer comes from outside: the run ends with stop reason "pending", and
    `agent.resume` takes it up with the decision or the result."""

    reason: str = ""


def to_content(value: Any) -> Content:
    """Text stays text; None is "done"; images and files, alone or in a list, are sent as such; everything else is JSON as pydantic
    writes it (models, dataclasses, dates, enums), without the quotes where that is one string, or its `str()` where that fails.
    """
    if isinstance(value, Text | Image | File):
        return value
    if value is None:
        return "done"
    if isinstance(value, bytes | bytearray | memoryview):
        return File(bytes(value))  # pyright: ignore[reportUnknownArgumentType]
    if _mixed(value):
        return [v if isinstance(v, Text | Image | File) else _text(v) for v in value]
    return _text(value)


def _mixed(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple) and any(isinstance(v, Text | Image | File) for v in value)  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # an Enum that is a str too: its value, not its name
    from pydantic_core import from_json, to_json

    try:
        plain = from_json(to_json(value, fallback=_fallback, inf_nan_mode="strings", bytes_mode="base64"))
        return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return str(value)


def _fallback(value: object) -> Any:
    """pydantic below 2.14 cannot write a deque."""
    return list(cast("deque[Any]", value)) if isinstance(value, deque) else str(value)


def capped(content: Content, limit: int) -> tuple[Part, ...]:
    """The parts, with their text cut in the middle to `limit` characters in all; what was cut is said in its place."""
    parts = parts_of(content)
    left = limit
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Image):
            out.append(part)
            continue
        text = part.text if isinstance(part, Text) else part.as_text
        out.append(Text(_cut(text, left)) if len(text) > left else part)
        left = max(0, left - len(text))
    return tuple(out)


def _cut(text: str, limit: int) -> str:
    head, tail = limit - limit // 4, limit // 4
    note = f"\n[… {len(text) - limit} of {len(text)} characters left out here; ask for less at a time …]\n"
    return text[:head] + note + (text[-tail:] if tail else "")
