"""Files that are whole or not there: written beside, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

__all__ = ["new_file", "partial_of", "write_file"]


def partial_of(path: Path) -> Path:
    """Where `path` is written before it takes its name. Hidden, so that no engine's `*.safetensors` matches it."""
    return path.with_name(f".{path.name}.partial")


@contextlib.contextmanager
def new_file(path: Path) -> Generator[BinaryIO]:
    """A file to write, which replaces `path` when the block ends, and is removed when it raises.

    Raises:
        OSError: the disk is full or broken; also when the block ends.
    """
    partial = partial_of(path)
    partial.unlink(missing_ok=True)  # of an earlier run, or a link that somebody put there: it is not written through
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    with new_file(path) as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot; the file itself is on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
