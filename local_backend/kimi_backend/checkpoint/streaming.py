"""One new file of a conversion, tensor by tensor and a slab of rows at a time: memory does not grow with the tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BufferedReader
from typing import BinaryIO, Final

from .conversion import Conversion, Piece, Shard
from .dtypes import BITS
from .errors import CheckpointError
from .folder import Checkpoint
from .fp8 import dequantise_rows, quantise_rows
from .headers import Header
from .layout import SCALE_SUFFIX

__all__ = ["stream_shard"]

#: Elements of a slab, unless a single row of blocks has more: what fits into a processor's cache goes fastest.
SLAB: Final = 1 << 20
#: Bytes that are copied at once.
COPIED: Final = 1 << 22
Told = Callable[[int], None]


def stream_shard(conversion: Conversion, shard: Shard, target: BinaryIO, told: Told) -> None:
    """Write `shard` into the new, empty file `target`.

    Args:
        conversion: what the shard belongs to.
        shard: what to write.
        target: the file, seekable.
        told: called with the bytes that were written, often.

    Raises:
        CheckpointError: a file of the source was cut or changed meanwhile, or holds values that are not finite.
        OSError: a file cannot be read or written, such as on a full disk.
    """
    with _Source(conversion.source) as source:
        target.write(shard.head)
        told(len(shard.head))
        for piece in shard.pieces:
            try:
                _write(piece, conversion.block, source, target, told)
            except CheckpointError as error:
                raise CheckpointError(f"{conversion.source.files[piece.name]}: tensor {piece.name}: {error}") from error
        source.check_unchanged()


def _write(piece: Piece, block: int, source: _Source, target: BinaryIO, told: Told) -> None:
    if piece.action == "copy":
        _copy(piece, source, target, told)
    elif piece.action == "dequantise":
        _dequantise(piece, block, source, target, told)
    else:
        _quantise(piece, block, source, target, told)


def _copy(piece: Piece, source: _Source, target: BinaryIO, told: Told) -> None:
    size = source.size(piece.name)
    target.seek(piece.begin)
    for begin in range(0, size, COPIED):
        told(target.write(source.read(piece.name, begin, min(size, begin + COPIED))))


def _dequantise(piece: Piece, block: int, source: _Source, target: BinaryIO, told: Told) -> None:
    rows, columns = source.shape(piece.name)
    across = -(-columns // block)
    target.seek(piece.begin)
    for first, last in _slabs(rows, columns, block):
        values = source.read(piece.name, first * columns, last * columns)
        scales = source.read(piece.name + SCALE_SUFFIX, 4 * across * (first // block), 4 * across * -(-last // block))
        told(target.write(dequantise_rows(values, scales, columns, block)))


def _quantise(piece: Piece, block: int, source: _Source, target: BinaryIO, told: Told) -> None:
    rows, columns = source.shape(piece.name)
    dtype = source.dtype(piece.name)
    width = columns * BITS[dtype] // 8
    across = -(-columns // block)
    for first, last in _slabs(rows, columns, block):
        values, scales = quantise_rows(source.read(piece.name, first * width, last * width), dtype, columns, block)
        target.seek(piece.begin + first * columns)
        told(target.write(values))
        target.seek(piece.scales_begin + 4 * across * (first // block))
        told(target.write(scales))


def _slabs(rows: int, columns: int, block: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that begin at a block's first row."""
    if not columns:
        return
    step = max(1, SLAB // columns // block) * block
    for first in range(0, rows, step):
        yield first, min(rows, first + step)


class _Source:
    """The source's files, opened when first needed: scales may lie in another file than their weights."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._files: dict[str, BufferedReader] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def size(self, name: str) -> int:
        return self._checkpoint[name].bytes

    def shape(self, name: str) -> tuple[int, ...]:
        return self._checkpoint[name].shape

    def dtype(self, name: str) -> str:
        return self._checkpoint[name].dtype

    def read(self, name: str, begin: int, end: int) -> bytearray:
        """Bytes of a tensor."""
        header = self._header(name)
        file = self._open(header)
        found = bytearray(end - begin)
        file.seek(header.data_start + header.tensors[name].begin + begin)
        if file.readinto(found) != len(found):
            raise CheckpointError(f"the file {header.path.name} was cut while it was being converted; download it again")
        return found

    def check_unchanged(self) -> None:
        """Refuse what was read from files that somebody wrote to meanwhile."""
        for file, opened in self._files.items():
            header = self._checkpoint.headers[file]
            if not all(_same(os.stat(place), header) for place in (header.path, opened.fileno())):
                raise CheckpointError(f"{file} changed while it was being converted; convert again once nobody writes to it")

    def _header(self, name: str) -> Header:
        return self._checkpoint.headers[self._checkpoint.files[name]]

    def _open(self, header: Header) -> BufferedReader:
        file = header.path.name
        if file not in self._files:
            self._files[file] = self._stack.enter_context(header.path.open("rb"))
        return self._files[file]


def _same(status: os.stat_result, header: Header) -> bool:
    return (status.st_size, status.st_mtime_ns) == (header.file_bytes, header.modified)
