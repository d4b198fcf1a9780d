"""Bytes that come in pieces: as lines, what can be told of a line unread, and the last of what was said."""

import re
from collections.abc import Iterator

LONGEST_LINE = 64 * 2**20  # bytes; the SDK has no bound, and copies all that it holds with every piece
_MOST_VALUES = 1_000_000  # in a line of JSON, about: each takes fifty times its bytes, and a millionth of a second
TOO_COMPLEX = f"the answer has more than {_MOST_VALUES:,} values"
_ID = rb'"id"\s*:\s*(?:(?P<number>\d{1,18})|"(?P<text>[^"\\]{1,100})")\s*'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_HEAD = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb",\s*(?:" + _VERSION + rb',\s*)?"(?:result|error)"\s*:')
_BEGINS = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb',\s*)?"(?:result|error)"\s*:')
_TAIL = re.compile(rb",\s*" + _ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*$")
_EDGE = 300  # bytes


class LineTooLong(Exception):
    """A line without an end."""


class Lines:
    """Cuts pieces into lines, in time linear in their length."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest, self._held, self._size = longest, list[bytes](), 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that are complete now, without their ends. Raises LineTooLong."""
        first, *rest = piece.split(b"\n")
        self._hold(first)
        for following in rest:
            line = b"".join(self._held)
            self._held.clear()
            self._size = 0
            self._hold(following)
            yield line

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._size += len(piece)
        if self._size > self._longest:
            raise LineTooLong(f"sent a line of more than {self._longest // 2**20} MiB")


def is_too_complex(line: bytes) -> bool:
    """Whether a line of JSON holds so many values that reading it would hold the event loop and fill the memory. Long texts, such
    as files and images, are no such values, whatever they hold."""
    if _marks(line) <= _MOST_VALUES:
        return False
    plain = line.replace(rb"\\", b"").replace(rb"\"", b"")
    return plain.count(b'"') > 2 * _MOST_VALUES or _marks(b"".join(plain.split(b'"')[::2])) > _MOST_VALUES


def _marks(json: bytes) -> int:
    return json.count(b"{") + json.count(b"[") + json.count(b",")


def answered_id(line: bytes) -> int | str | None:
    """The id of the request that a line answers, as far as its first and last bytes tell."""
    found = _HEAD.match(line[:_EDGE])
    if found is None and _BEGINS.match(line[:_EDGE]):
        found = _TAIL.search(line[-_EDGE:])
    if found is None:
        return None
    return int(found["number"]) if found["number"] is not None else found["text"].decode("utf-8", "replace")


class Tail:
    """The last of a text that may be endless."""

    def __init__(self, most: int = 4000) -> None:
        self._most, self._kept = most, b""

    def feed(self, piece: bytes) -> None:
        """Takes a piece in."""
        self._kept = (self._kept + piece[-self._most :])[-self._most :]

    def last_lines(self, most: int = 5) -> str:
        """The last lines that say something."""
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines()]
        return "\n".join([line for line in lines if line][-most:])

    def clear(self) -> None:
        """Forgets all."""
        self._kept = b""
