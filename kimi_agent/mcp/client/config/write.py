"""Adding a server to an mcp.json and taking one out. All else in the file stays as it is, byte for byte, comments too."""

import json
import re
from pathlib import Path
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.config.entry import ServerConfig
from kimi_agent.mcp.client.config.read import read_config, read_text
from kimi_agent.mcp.client.config.source import SECTIONS, Member, members, parse, plain
from kimi_agent.mcp.client.private_file import PRIVATE, replace_file

_INDENT = "  "
_BOM = b"\xef\xbb\xbf"
_NAME = re.compile(r"\w[\w.-]{0,63}")  # it is typed on command lines, and begins the names of tools


def add_server(path: str | Path, name: str, config: ServerConfig, *, overwrite: bool = False) -> None:
    """Writes a server into a file, which is made where there is none.

    Nobody else may read it from then on (mode 0600): a secret may stand in any argument, in a URL and its path, too, where
    nothing tells it from another word.

    Raises:
        UserError: the name is not of letters, digits, `_`, `.` and `-`, or longer than 64 of them; it is there already and
            `overwrite` is not set, or the file cannot be read, understood or written.
    """
    path = Path(path).expanduser()
    if not _NAME.fullmatch(name):
        raise UserError("a server's name is of letters, digits, '_', '.' and '-', 64 at most, and begins with no sign")
    text = read_text(path) if path.exists() else ""
    before = parse(text, str(path))
    section = _section(before)
    if name in before.get(section, {}) and not overwrite:
        raise UserError(f'{path} has a server "{name}" already: choose another name, or overwrite it')
    after = before | {section: before.get(section, {}) | {name: config.entry()}}
    _write(path, _with(text, section, name, config.entry()), after, private=True)


def remove_server(path: str | Path, name: str) -> None:
    """Takes a server out of a file.

    Raises:
        UserError: there is no such server, or the file cannot be read, understood or written.
    """
    path = Path(path).expanduser()
    known = read_config(path)
    if name not in known:
        raise UserError(f'{path} has no server "{name}": it has {", ".join(known) or "none"}')
    text = read_text(path)
    before = parse(text, str(path))
    section = _section(before)
    if section not in before:
        raise UserError(f'{path} has no "mcpServers": put its servers there first')
    after = before | {section: {key: value for key, value in before[section].items() if key != name}}
    _write(path, _without(text, section, name), after)


def _section(data: dict[str, Any]) -> str:
    return next((key for key in SECTIONS if key in data), SECTIONS[0])


def _with(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    bare = plain(text)
    if not text.strip():
        return json.dumps({section: {name: entry}}, indent=_INDENT, ensure_ascii=False) + "\n"
    top = bare.index("{")
    found = next((member for member in members(bare, top) if member.key == section), None)
    if found is None:
        return _insert(text, bare, top, section, {name: entry})
    old = next((member for member in members(bare, found.value) if member.key == name), None)
    if old is None:
        return _insert(text, bare, found.value, name, entry)
    return text[: old.value] + _lines(entry, _indent_at(text, old.start), text) + text[old.end :]


def _insert(text: str, bare: str, at: int, key: str, value: dict[str, Any]) -> str:
    """A new last member of the object that begins at `at`."""
    there = members(bare, at)
    newline = "\r\n" if "\r\n" in text else "\n"
    if there:
        indent = _indent_at(text, there[-1].start)
        before, behind, comma = text[: there[-1].end], text[there[-1].end :], ","
        if text[there[-1].end :].lstrip().startswith(","):  # a trailing one, as editors allow it
            cut = text.index(",", there[-1].end) + 1
            before, behind, comma = text[:cut], text[cut:], ""
    else:
        outer = _indent_at(text, at)
        indent = outer + _INDENT
        end = bare.index("}", at)
        before, behind, comma = text[:end].rstrip(), newline + outer + text[end:], ""
    return f"{before}{comma}{newline}{indent}{json.dumps(key, ensure_ascii=False)}: {_lines(value, indent, text)}{behind}"


def _without(text: str, section: str, name: str) -> str:
    bare = plain(text)
    found = next(member for member in members(bare, bare.index("{")) if member.key == section)
    there = members(bare, found.value)
    at = next(i for i, member in enumerate(there) if member.key == name)
    if at + 1 < len(there):
        return text[: there[at].start] + text[there[at + 1].start :]
    if at:
        return text[: there[at - 1].end] + text[there[at].end :]
    return text[: found.value + 1] + text[_end_of(bare, there[0]) :]


def _end_of(bare: str, last: Member) -> int:
    return bare.index("}", last.end)


def _lines(value: dict[str, Any], indent: str, text: str) -> str:
    step = "\t" if indent.startswith("\t") else _INDENT
    dumped = json.dumps(value, indent=step, ensure_ascii=False)
    return dumped.replace("\n", ("\r\n" if "\r\n" in text else "\n") + indent)


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _write(path: Path, text: str, expected: dict[str, Any], *, private: bool = False) -> None:
    if parse(text, str(path)) != expected:  # rather no change than a wrong one
        raise UserError(f"{path} is laid out in a way that cannot be edited safely: change it by hand")
    try:
        old = path.stat().st_mode & 0o777 if path.exists() else PRIVATE
        bom = _BOM if path.exists() and path.read_bytes().startswith(_BOM) else b""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, bom + text.encode(), old & PRIVATE if private else old)
    except OSError as e:
        raise UserError(f"{path} cannot be written: {e.strerror or e}") from None
