"""The text of an mcp.json: JSON with the comments and trailing commas that editors allow, and where its entries stand."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from kimi_agent.errors import UserError

SECTIONS = ("mcpServers", "servers")  # the second is VS Code's
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_SPACE = re.compile(r"\s*")


def plain(text: str) -> str:
    """The same JSON without comments and trailing commas, every character at its place."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n\r]", " ", found[0])

    return _LAST_COMMA.sub(blank, _TOKEN.sub(blank, text))


def parse(text: str, name: str) -> dict[str, Any]:
    """The object that a file holds. An empty file is an empty one.

    Raises UserError that says where it is no JSON, or where a key stands twice.
    """
    if not text.strip():
        return {}
    try:
        data: object = json.loads(plain(text), object_pairs_hook=_once)
    except json.JSONDecodeError as e:
        raise UserError(f"{name} is no JSON: {e.msg} in line {e.lineno}, column {e.colno}") from None
    except RecursionError:
        raise UserError(f"{name} is nested too deeply") from None
    except UserError as e:
        raise UserError(f"{name}: {e}") from None
    if not isinstance(data, dict):
        raise UserError(f'{name} must hold an object: {{"mcpServers": {{…}}}}')
    return cast("dict[str, Any]", data)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise UserError(f'"{key}" stands twice in one object, and only one would count: remove or rename one')
        found[key] = value
    return found


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, by offsets into the text: `"key"` begins at `start`, its value is `text[value:end]`."""

    key: str
    start: int
    value: int
    end: int


def members(text: str, at: int) -> list[Member]:
    """The members of the object that begins at `at` of a `plain` text that parses."""
    decoder = json.JSONDecoder()
    found: list[Member] = []
    here = _skip(text, at + 1)
    while text[here] != "}":
        if text[here] == ",":
            here = _skip(text, here + 1)
        key, end = decoder.raw_decode(text, here)
        value = _skip(text, _skip(text, end) + 1)
        _, after = decoder.raw_decode(text, value)
        found.append(Member(cast("str", key), here, value, after))
        here = _skip(text, after)
    return found


def _skip(text: str, at: int) -> int:
    blank = _SPACE.match(text, at)
    return at if blank is None else blank.end()
