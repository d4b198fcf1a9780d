"""JSON from files that others wrote: an object, each key once, nothing that can exhaust the reader."""

from __future__ import annotations

import json
import reprlib
import stat
from collections import Counter
from pathlib import Path
from typing import cast

from .errors import CheckpointError

__all__ = ["LFS_POINTER", "as_object", "parse_object", "read_object", "shown"]

#: Largest JSON file that is read: the index of 140,000 tensors takes 13 MB.
LIMIT = 256 << 20
#: What a file begins with that was cloned without git-lfs. Source: git-lfs, docs/spec.md.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 120


def read_object(path: Path) -> dict[str, object]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, is too large, or holds no such object.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, without end
            raise CheckpointError(f"{path} is not a file; remove it or download the file again")
        if status.st_size > LIMIT:
            raise CheckpointError(f"{path} has {status.st_size:,} bytes; a JSON file of a checkpoint has at most {LIMIT:,}")
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    return parse_object(raw, str(path))


def parse_object(raw: bytes, what: str) -> dict[str, object]:
    """The object that `raw` holds; `what` names it in the error's text.

    Raises:
        CheckpointError: not UTF-8, not JSON, not an object, or a key stands twice.
    """
    if raw.startswith(LFS_POINTER):
        raise CheckpointError(f"{what} is a pointer of Git LFS, not the file itself; run `git lfs pull`, or download it again")
    try:
        found: object = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is damaged: {error}; download it again") from error
    return as_object(found, what)


def as_object(value: object, what: str) -> dict[str, object]:
    """`value`, which must be a JSON object.

    Raises:
        CheckpointError: it is something else.
    """
    if not isinstance(value, dict):
        raise CheckpointError(f"{what} is damaged: {type(value).__name__} where an object belongs; download it again")
    return cast("dict[str, object]", value)


def shown(value: object) -> str:
    """`value` of a file for an error's text: short, however long it is, and without what a terminal would obey."""
    return _SHOWN.repr(value).encode("ascii", "backslashreplace").decode()


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found
