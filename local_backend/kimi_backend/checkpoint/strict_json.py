"""JSON from files that others wrote: an object, each key once, nothing that can exhaust the reader."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

from .errors import CheckpointError

__all__ = ["as_object", "parse_object", "read_object"]

#: Largest JSON file that is read: the index of 140,000 tensors takes 13 MB.
LIMIT = 256 << 20


def read_object(path: Path) -> dict[str, object]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, is too large, or holds no such object.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise CheckpointError(f"{path} has {path.stat().st_size:,} bytes; a JSON file of a checkpoint has at most {LIMIT:,}")
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    return parse_object(raw, str(path))


def parse_object(raw: bytes, what: str) -> dict[str, object]:
    """The object that `raw` holds; `what` names it in the error's text.

    Raises:
        CheckpointError: not UTF-8, not JSON, not an object, or a key stands twice.
    """
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


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!a} stands twice")
    return found
