r"""Words of systemd's unit files, and its lines.

Source: systemd.service(5), "Command lines", and systemd.syntax(7): double quotes, C escapes, `%%`, `$$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .errors import RenderError

__all__ = ["credential_path", "quote", "read_unit_words", "unit_lines"]

CONTROL = re.compile(r"[\x01-\x1f\x7f]")
PLAIN = re.compile(r"[^\\%$\"' \t]+")
NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'", "s": " "}


def quote(text: str, *, command: bool) -> str:
    """A text as one literal word.

    Args:
        text: any text without NUL.
        command: in a command line a dollar sign is doubled; elsewhere it means nothing.

    Raises:
        RenderError: it has a NUL character.
    """
    if "\0" in text:
        raise RenderError(f"{text!r} has a NUL character; no unit file can carry that.")
    body = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        body = body.replace("$", "$$")
    return '"' + CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", body) + '"'


def credential_path(path: str) -> str:
    """A path in LoadCredential=, which knows specifiers and no quotes.

    Raises:
        RenderError: it has characters that would be lost there.
    """
    if not path.isprintable() or path != path.strip() or "\\" in path or ":" in path:
        raise RenderError(f"The key's file {path!r} has a character that LoadCredential= cannot carry; give it a plainer name.")
    return path.replace("%", "%%")


def unit_lines(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Line number, section, key and value of each setting, with its continuation lines.

    Raises:
        RenderError: a line that is neither a section nor a setting.
    """
    section, pending, start = "", "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        start = start if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole, pending = (pending + line).strip(), ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if not equals:
            raise RenderError(f"line {start}: {whole!r} is no setting.")
        yield start, section, key.strip(), value.strip()


def read_unit_words(value: str, variables: Mapping[str, str], *, command: bool) -> list[str]:
    """The words that systemd makes of a value.

    Raises:
        RenderError: an open quotation mark, or a specifier or variable whose value is known only to systemd.
    """
    words: list[str] = []
    current: str | None = None
    closing, at = "", 0
    while at < len(value):
        char = value[at]
        if not closing and char in " \t":
            if current is not None:
                words.append(current)
            current, at = None, at + 1
            continue
        if char == closing or (not closing and char in "\"'"):
            closing, current, at = "" if closing else char, current or "", at + 1
            continue
        piece, at = _piece(value, at, variables, command=command)
        current = (current or "") + piece
    if closing:
        raise RenderError(f"A quotation mark is not closed in: {value!r}")
    return words if current is None else [*words, current]


def _piece(value: str, at: int, variables: Mapping[str, str], *, command: bool) -> tuple[str, int]:
    if match := PLAIN.match(value, at):
        return match[0], match.end()
    char, after = value[at], value[at + 1 : at + 2]
    if char == "\\":
        return _escape(value, at + 1)
    if char == "%":
        if after != "%":
            raise RenderError(
                f"%{after} is a specifier, whose value only systemd knows; write the value itself, or %% for a percent sign."
            )
        return "%", at + 2
    if char == "$" and command:
        if after == "$":
            return "$", at + 2
        match = re.compile(r"\$\{(\w+)\}").match(value, at)
        if not match or match[1] not in variables:
            raise RenderError(f"{value[at : at + 20]!r} is a variable, whose value only systemd knows; write the value itself.")
        return variables[match[1]], match.end()
    return char, at + 1


def _escape(value: str, at: int) -> tuple[str, int]:
    if match := re.compile(r"x([0-9a-fA-F]{2})").match(value, at):
        return chr(int(match[1], 16)), match.end()
    if (name := value[at : at + 1]) in NAMED:
        return NAMED[name], at + 1
    raise RenderError(f"The escape \\{name} is more than kimi-backend reads back.")
