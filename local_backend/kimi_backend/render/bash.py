"""Words and lines of bash: written so that a text arrives as one literal word, and read back without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .errors import RenderError
from .words import Variable, Word

__all__ = ["command_lines", "export_lines", "logical_lines", "read_words", "write_literal", "write_word"]

BARE = re.compile(r"(?!=)[A-Za-z0-9_@%+=:,./-]+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLAIN, QUOTED, INSIDE = re.compile(r"[^\s$`|&;<>()*?\[\]{}~!\\'\"]+"), re.compile(r'[^"\\$`]+'), re.compile(r"[^'\\]+")
"""Runs of characters that mean themselves: bare, between double quotes, and in $'…'."""
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
RANK = re.compile(r"\$\(\((?:([0-9]{1,9}) \* )?rank(?: \+ ([0-9]{1,9}))?\)\)")
EXPANSION = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


def write_literal(text: str) -> str:
    """A text as one word that bash changes nothing in.

    Raises:
        RenderError: it has a NUL character, which no argument can carry.
    """
    if "\0" in text:
        raise RenderError(f"{text!r} has a NUL character; no program can be given that.")
    if BARE.fullmatch(text):
        return text
    if CONTROL.search(text):  # keeps a word on one line, so that no part of it can look like a line of the script
        body = text.replace("\\", "\\\\").replace("'", "\\'")
        return "$'" + CONTROL.sub(lambda match: f"\\{ord(match[0]):03o}", body) + "'"
    return "'" + text.replace("'", "'\\''") + "'"


def write_word(word: Word) -> str:
    """A word with its variables, each quoted so that its value stays one word."""
    return "".join(_variable(part) if isinstance(part, Variable) else write_literal(part) for part in word) or "''"


def _variable(variable: Variable) -> str:
    if variable.scale == 1 and variable.offset == 0:
        return f'"${variable.name}"'
    scaled = variable.name if variable.scale == 1 else f"{variable.scale} * {variable.name}"
    return f'"$(({scaled}{f" + {variable.offset}" if variable.offset else ""}))"'


def command_lines(start: str, words: tuple[Word, ...], indent: str = "") -> list[str]:
    """A command over several lines: a flag and its values stand together.

    Args:
        start: what stands before the first word, such as `exec`.
        words: the command.
        indent: blanks before each line.
    """
    groups: list[list[str]] = [[start] if start else []]
    for word in words:
        if word and isinstance(word[0], str) and word[0].startswith("--"):
            groups.append([])
        groups[-1].append(write_word(word))
    lines = [" ".join(group) for group in groups if group]
    return [indent + ("  " if at else "") + line + (" \\" if at < len(lines) - 1 else "") for at, line in enumerate(lines)]


def export_lines(env: Mapping[str, Word], indent: str = "") -> list[str]:
    """Environment variables, one a line.

    Raises:
        RenderError: a name is none.
    """
    for name in env:
        if not NAME.fullmatch(name):
            raise RenderError(f"{name!r} is no name of an environment variable.")
    return [f"{indent}export {name}={write_word(word)}" for name, word in env.items()]


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that says something, with its continuation lines; comments are left out."""
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start if pending else number
        if not pending and line.lstrip().startswith("#"):
            continue
        if line.endswith("\\") and not line.endswith("\\\\"):
            pending += line[:-1] + " "
            continue
        whole, pending = (pending + line).strip(), ""
        if whole:
            yield start, whole


def read_words(line: str, values: Mapping[str, str]) -> list[str]:
    """The words that bash makes of a line, with these variables. Only words: no pipe, no command in a command.

    Raises:
        RenderError: the line has something else than words.
    """
    words: list[str] = []
    current: str | None = None
    at = 0
    while at < len(line):
        if line[at] in " \t":
            if current is not None:
                words.append(current)
            current, at = None, at + 1
            continue
        if line[at] == "#" and current is None:
            raise RenderError(f"A comment must stand on a line of its own, and not inside a command: {line!r}")
        piece, at = _piece(line, at, values)
        current = (current or "") + piece
    return words if current is None else [*words, current]


def _piece(line: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    """One quoted or bare part of a word, and where the next begins."""
    if match := PLAIN.match(line, at):
        return match[0], match.end()
    if line.startswith("$'", at):
        return _ansi(line, at + 2)
    if line[at] == "'":
        end = line.find("'", at + 1)
        if end < 0:
            raise RenderError(f"A quotation mark is not closed in: {line!r}")
        return line[at + 1 : end], end + 1
    if line[at] == '"':
        return _double(line, at + 1, values)
    if line[at] == "\\":
        return line[at + 1 : at + 2], at + 2
    if line[at] in "$`|&;<>()*?[]{}~!":
        raise RenderError(f"{line[at]!r} outside quotation marks is more than kimi-backend reads back: {line!r}")
    return line[at], at + 1


def _double(line: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    text = ""
    while at < len(line) and line[at] != '"':
        if match := QUOTED.match(line, at):
            text, at = text + match[0], match.end()
        elif line[at] == "\\" and line[at + 1 : at + 2] in {"$", "`", '"', "\\"}:
            text, at = text + line[at + 1], at + 2
        elif line[at] in "$`":
            value, at = _expansion(line, at, values)
            text += value
        else:
            text, at = text + line[at], at + 1
    if at >= len(line):
        raise RenderError(f"A quotation mark is not closed in: {line!r}")
    return text, at + 1


def _expansion(line: str, at: int, values: Mapping[str, str]) -> tuple[str, int]:
    if (match := RANK.match(line, at)) and "rank" in values:
        return str(int(match[1] or 1) * int(values["rank"]) + int(match[2] or 0)), match.end()
    match = EXPANSION.match(line, at)
    name = match and (match[1] or match[2])
    if not match or not name or name not in values:
        raise RenderError(f"{line[at : at + 20]!r} is more than kimi-backend reads back; write the value itself: {line}")
    return values[name], match.end()


def _ansi(line: str, at: int) -> tuple[str, int]:
    """The inside of $'…', with the escapes that are written here and the common ones."""
    text = ""
    while at < len(line) and line[at] != "'":
        if match := INSIDE.match(line, at):
            text, at = text + match[0], match.end()
        elif octal := re.compile(r"[0-7]{1,3}").match(line, at + 1):
            text, at = text + chr(int(octal[0], 8)), octal.end()
        elif (escape := line[at + 1 : at + 2]) in ESCAPES:
            text, at = text + ESCAPES[escape], at + 2
        else:
            raise RenderError(f"The escape \\{escape} is more than kimi-backend reads back: {line!r}")
    if at >= len(line):
        raise RenderError(f"A quotation mark is not closed in: {line!r}")
    return text, at + 1
