"""The header of a safetensors file, read without its data and without trusting it.

A file is 8 bytes (length of the header, little-endian), the header (a JSON object, which may end in spaces), and the data:
all tensors, back to back. Source: the safetensors format, README of huggingface/safetensors.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

from .dtypes import BITS, tensor_bytes
from .errors import CheckpointError
from .strict_json import LFS_POINTER, as_object, parse_object, shown

__all__ = ["HEADER_LIMIT", "Header", "TensorInfo", "read_header"]

#: Longest header that the safetensors library itself accepts, bytes.
HEADER_LIMIT = 100_000_000
_RANK_LIMIT = 64  # torch's own
_NAME_LIMIT = 1000  # characters; the longest of Kimi K2's have 80


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor, as the header has it."""

    dtype: str
    """safetensors' name, such as BF16 or F8_E4M3."""
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the start of the file's data."""
    end: int

    @property
    def bytes(self) -> int:
        """Bytes of its data."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Header:
    """A file's header, checked."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_start: int
    """Bytes before the data."""
    data_bytes: int
    """Bytes of data that the header speaks of."""
    file_bytes: int
    """Bytes that the file really has."""
    modified: int
    """When the file was last written, nanoseconds."""

    @property
    def size_problem(self) -> str | None:
        """What is wrong with the file's size; None when it is that which the header tells."""
        wanted = self.data_start + self.data_bytes
        if self.file_bytes < wanted:
            return f"is cut short: {self.file_bytes:,} bytes of {wanted:,}, {wanted - self.file_bytes:,} are missing"
        if self.file_bytes > wanted:
            return f"is too long: {self.file_bytes:,} bytes where its header tells of {wanted:,}"
        return None


def read_header(path: Path, *, whole: bool = True) -> Header:
    """Read and check the header of `path`. Symbolic links are followed: hub caches are made of them.

    Args:
        path: a safetensors file.
        whole: refuse a file that is shorter or longer than its header tells; else see `Header.size_problem`.

    Raises:
        CheckpointError: the file cannot be read, or is not a safe and whole safetensors file.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} is not a file; remove it or download the file again")
        with path.open("rb") as file:
            raw = _raw_header(path, file.read(8), status.st_size, file.read)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    entries = parse_object(raw, f"the header of {path}")
    metadata = _metadata(entries.pop("__metadata__", {}), path)
    tensors = {name: _tensor(name, entry, path) for name, entry in entries.items()}
    found = Header(path, tensors, metadata, 8 + len(raw), _data_bytes(tensors, path), status.st_size, status.st_mtime_ns)
    if whole and found.size_problem:
        raise CheckpointError(f"{path} {found.size_problem}; download it again")
    return found


def _raw_header(path: Path, prefix: bytes, size: int, read: Callable[[int], bytes]) -> bytes:
    if LFS_POINTER.startswith(prefix) and prefix:
        raise CheckpointError(f"{path} is a pointer of Git LFS, not the file itself; run `git lfs pull`, or download it again")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > size - 8:
        needs = f"8 and a header of {length:,}" if len(prefix) == 8 else "at least 8"
        raise CheckpointError(f"{path} is cut short or no safetensors file: {size:,} bytes, it needs {needs}; download it again")
    if length > HEADER_LIMIT:
        raise CheckpointError(f"{path} has a header of {length:,} bytes; safetensors allows {HEADER_LIMIT:,}")
    raw = read(length)
    if len(raw) < length or not raw.startswith(b"{"):
        raise CheckpointError(f"{path} is no safetensors file: its header is not a JSON object; download it again")
    return raw


def _metadata(found: object, path: Path) -> dict[str, str]:
    entries = as_object(found, f"the metadata of {path}")
    if not all(isinstance(value, str) for value in entries.values()):
        raise CheckpointError(f"{path}: its __metadata__ must map text to text; download the file again")
    if any(_halved(text) for entry in entries.items() for text in cast("tuple[str, str]", entry)):
        raise CheckpointError(f"{path}: its __metadata__ holds half of a character, which is no text; download the file again")
    return cast("dict[str, str]", entries)


def _halved(text: str) -> bool:
    """Whether it holds a lone surrogate: JSON can spell one, and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _tensor(name: str, found: object, path: Path) -> TensorInfo:
    # Names reach terminals and other files: none may hold a newline or an escape sequence.
    if not name.isprintable() or not 1 <= len(name) <= _NAME_LIMIT:
        raise CheckpointError(f"{path}: the tensor name {shown(name)} is not printable text of 1 to {_NAME_LIMIT:,} characters")
    where = f"tensor {name} in {path}"
    entry = as_object(found, where)
    if entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: it must have dtype, shape and data_offsets, and has {shown(sorted(entry))}")
    dtype, shape, offsets = entry["dtype"], _numbers(entry["shape"], where), _numbers(entry["data_offsets"], where)
    if not isinstance(dtype, str) or dtype not in BITS:
        raise CheckpointError(f"{where}: the element type {shown(dtype)} is not one of safetensors'")
    if len(offsets) != 2 or len(shape) > _RANK_LIMIT:
        raise CheckpointError(
            f"{where}: {len(offsets)} offsets and {len(shape)} dimensions; 2 and at most {_RANK_LIMIT} are possible"
        )
    begin, end = offsets
    if tensor_bytes(dtype, shape) != end - begin:
        raise CheckpointError(f"{where}: {dtype} of shape {list(shape)} does not take the {end - begin:,} bytes that it is given")
    return TensorInfo(dtype, shape, begin, end)


def _numbers(found: object, where: str) -> tuple[int, ...]:
    values = cast("list[object]", found) if isinstance(found, list) else [None]
    # `type`, not isinstance: JSON's true is an int to Python. 2**63 is where the formats' own readers stop.
    if not all(type(value) is int and 0 <= value < 1 << 63 for value in values):
        raise CheckpointError(f"{where}: its shape and its offsets must be lists of whole numbers from 0")
    return tuple(cast("list[int]", values))


def _data_bytes(tensors: Mapping[str, TensorInfo], path: Path) -> int:
    """Bytes of all tensors, which must lie back to back from 0: what no tensor owns could carry anything."""
    ordered = sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end))
    if ordered and ordered[0][1].begin:
        raise CheckpointError(f"{path}: {ordered[0][1].begin:,} bytes before its first tensor {ordered[0][0]} belong to none")
    for (left, before), (right, after) in pairwise(ordered):
        if before.end != after.begin:
            what = "overlap" if after.begin < before.end else "have a hole between them"
            raise CheckpointError(
                f"{path}: the tensors {left} and {right} {what}: bytes to {before.end:,}, then from {after.begin:,}"
            )
    return ordered[-1][1].end if ordered else 0
