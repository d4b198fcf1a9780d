"""SHA-256 of a checkpoint's files, to compare two nodes' copies: headers cannot tell a flipped bit in a weight.

The list is what `sha256sum` writes, so that `sha256sum -c SHA256SUMS` checks it too.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Final

from ..atomic import write_file
from .errors import CheckpointError
from .findings import Finding

__all__ = ["HASHES_NAME", "Progress", "compare_hashes", "hash_files", "read_hashes", "write_hashes"]

HASHES_NAME: Final = "SHA256SUMS"
#: Told while bytes are worked on: what is being done, bytes done, bytes in all.
Progress = Callable[[str, int, int], None]
_BLOCK = 1 << 22
_LINE = re.compile(r"^(?P<hash>[0-9a-f]{64}) [ *](?P<name>[^/\\]+)$")


def hash_files(folder: str | Path, *, workers: int = 2, progress: Progress | None = None) -> dict[str, str]:
    """SHA-256 of each file in `folder` (not of hidden ones, of folders, or of `SHA256SUMS` itself), by name.

    Args:
        folder: the checkpoint.
        workers: files that are read at once.
        progress: told the file, the bytes done, and the bytes in all.

    Raises:
        CheckpointError: a file cannot be read, or its name is not printable.
    """
    root = Path(folder)
    tell = progress or _silent
    try:
        paths = sorted(p for p in root.iterdir() if p.is_file() and not p.name.startswith(".") and p.name != HASHES_NAME)
        if odd := next((p.name for p in paths if not p.name.isprintable()), None):
            raise CheckpointError(f"{root}: the file name {odd!a} is not printable text; rename or remove it")
        meter = _Meter(sum(p.stat().st_size for p in paths), tell)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            return dict(zip((p.name for p in paths), pool.map(_hash, paths, repeat(meter)), strict=True))
    except OSError as error:
        raise CheckpointError(f"{error.filename or root}: {error.strerror or error}") from error


def write_hashes(path: str | Path, hashes: Mapping[str, str]) -> None:
    """Write the list of hashes.

    Raises:
        CheckpointError: the file cannot be written.
    """
    try:
        write_file(Path(path), "".join(f"{value}  {name}\n" for name, value in sorted(hashes.items())).encode())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}; name a place that can be written to") from error


def read_hashes(path: str | Path) -> dict[str, str]:
    """Read a list of hashes.

    Raises:
        CheckpointError: there is none, or a line is not `hash  name`.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no list of hashes: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None or match["name"] in found:
            raise CheckpointError(f"{path}: line {number} is not a new `hash  name`, as sha256sum writes it")
        found[match["name"]] = match["hash"]
    return found


def compare_hashes(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[Finding, ...]:
    """Where two copies of a checkpoint differ.

    Args:
        expected: hashes of the copy that is taken as right.
        found: hashes of the other one.
    """
    again = "copy or download it again"
    missing = [
        Finding("error", "missing-file", "the file is in the list of hashes and not here", again, n)
        for n in expected
        if n not in found
    ]
    differing = [
        Finding("error", "other-content", f"SHA-256 {found[name]}, and the list has {value}", again, name)
        for name, value in expected.items()
        if found.get(name, value) != value
    ]
    extra = [
        Finding("warning", "extra-file", "the list of hashes does not name it", "remove it if it is not the model's", n)
        for n in found
        if n not in expected
    ]
    return (*missing, *differing, *extra)


class _Meter:
    """Counts what several threads have read."""

    def __init__(self, total: int, tell: Progress) -> None:
        self._total, self._tell, self._done, self._lock = total, tell, 0, threading.Lock()

    def add(self, what: str, count: int) -> None:
        with self._lock:
            self._done += count
            self._tell(what, self._done, self._total)


def _hash(path: Path, meter: _Meter) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            meter.add(path.name, len(block))
    return digest.hexdigest()


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""
