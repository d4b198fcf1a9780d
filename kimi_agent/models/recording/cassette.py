"""The file that a `ReplayModel` records to: JSON lines, one exchange each.

    {"kimi_agent_cassette": 2, "model": "kimi-k2.6", "profile": {…}, "request": {…}, "parts": [{"text": ["Sun", "ny."]}, …]}

`request` is a summary (see kimi_agent.models.recording.summary), `parts` the answer as it was streamed, `error` the ProviderError
that ended it, and `left` says that the reader went away before the end.
"""

import json
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimi_agent.errors import ProviderError, UserError
from kimi_agent.models.base import Profile
from kimi_agent.models.recording.part_json import error_from_json, error_to_json, parts_from_json, parts_to_json
from kimi_agent.models.recording.profile_json import profile_from_json, profile_to_json
from kimi_agent.wire.open_json import Json, as_list, as_object
from kimi_agent.wire.parts import WirePart

VERSION = 2  # 1 wrote a masked secret in a request as "***", which an ordinary text may hold
_DEEPEST = 200  # levels of JSON: deeper ones would end the comparison of requests in a RecursionError
_ANEW = 'record it anew (delete the file, or mode="record"; in pytest --kimi-agent-record)'
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")  # ends of lines to some readers; halves of pairs are not UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what came of it.

    Attributes:
        model: the name of the model that was asked.
        profile: its profile when it was asked.
        request: the summary of the request.
        parts: the answer, as far as it came.
        error: what the stream raised at its end, if it did.
        left: whether the reader went away before the end.
    """

    model: str
    profile: Profile
    request: Json
    parts: tuple[WirePart, ...]
    error: ProviderError | None = None
    left: bool = False


def write_cassette(path: Path, exchanges: Iterable[Exchange]) -> None:
    """Puts the file in place as a whole: whoever reads it, and whenever the process dies, it is the old one or the new one.

    Raises UserError where it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(_line(exchange) + "\n" for exchange in exchanges)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"the cassette {path} cannot be written: {error}") from None
    finally:
        with suppress(OSError):
            os.unlink(beside)


def read_cassette(path: Path) -> list[Exchange]:
    """The exchanges of a file. Raises UserError that names the line which cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the cassette {path} cannot be read: {error}") from None
    return [_exchange(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _line(exchange: Exchange) -> str:
    line: Json = {"kimi_agent_cassette": VERSION, "model": exchange.model}
    if profile := profile_to_json(exchange.profile):
        line["profile"] = profile
    line |= {"request": exchange.request, "parts": parts_to_json(exchange.parts)}
    if exchange.error is not None:
        line["error"] = error_to_json(exchange.error)
    if exchange.left:
        line["left"] = True
    return _ESCAPED.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(line, ensure_ascii=False))


def _exchange(line: str, where: str) -> Exchange:
    try:
        value = as_object(json.loads(line))
        deep = _is_deeper(value, _DEEPEST)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error}): restore the cassette, or {_ANEW}") from None
    except RecursionError:
        deep, value = True, None
    if deep:
        raise UserError(f"{where} is nested deeper than {_DEEPEST} levels: restore the cassette, or {_ANEW}")
    version: Any = None if value is None else value.get("kimi_agent_cassette")
    if value is None or version is None:
        raise UserError(f'{where} is no exchange of a cassette: it has no "kimi_agent_cassette". Restore it, or {_ANEW}')
    if version != VERSION:
        raise UserError(f"{where} is of version {version!r}, this release reads version {VERSION}: {_ANEW}")
    try:
        error = as_object(value.get("error"))
        return Exchange(
            model=str(value["model"]),
            profile=profile_from_json(dict(value.get("profile", {}))),
            request=dict(value["request"]),
            parts=parts_from_json(as_list(value["parts"])),
            error=None if error is None else error_from_json(error),
            left=bool(value.get("left")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        told = f"{type(error).__name__}: {error}"
        raise UserError(f"{where} cannot be read ({told}): restore the cassette, or {_ANEW}") from None


def _is_deeper(value: Any, levels: int) -> bool:
    """Level by level, as a function that calls itself would fail where this is to tell."""
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
    return bool(level)


def _inside(value: Any) -> Iterable[Any]:
    return (as_object(value) or {}).values() or as_list(value)
