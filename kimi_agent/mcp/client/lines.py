"""Bytes that come in pieces: as lines, and as the last of what was said."""

from collections.abc import Iterator

LONGEST_LINE = 64 * 2**20  # bytes; the SDK has no bound, and copies all that it holds with every piece


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
