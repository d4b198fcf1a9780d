"""A checkpoint's folder: its index and the headers of all its files, without any data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .errors import CheckpointError
from .headers import Header, TensorInfo, read_header
from .index import INDEX_NAME, Index, read_index, shard_names

__all__ = ["Checkpoint", "open_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """What the headers tell."""

    folder: Path
    index: Index | None
    headers: Mapping[str, Header]
    """By file name, sorted."""

    @cached_property
    def files(self) -> Mapping[str, str]:
        """File that holds each tensor, as the headers (not the index) tell."""
        return {name: file for file, header in self.headers.items() for name in header.tensors}

    def tensors(self) -> Iterator[tuple[str, TensorInfo]]:
        """All tensors with their names, file by file."""
        for header in self.headers.values():
            yield from header.tensors.items()

    def __getitem__(self, name: str) -> TensorInfo:
        """The tensor of that name."""
        return self.headers[self.files[name]].tensors[name]


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the index and all headers, which must be whole and belong together.

    Only the files that the index names are read; without an index, all of the folder.

    Raises:
        CheckpointError: a file is missing or cut, or a tensor is not (only) where the index says.
    """
    present = shard_names(folder)
    index = read_index(folder)
    named = sorted(set(index.weight_map.values())) if index else present
    if missing := sorted(set(named) - set(present)):
        raise CheckpointError(
            f"{folder}: {len(missing)} of {len(named)} files are missing, the first is {missing[0]}; download them"
        )
    found = Checkpoint(folder, index, {name: read_header(folder / name) for name in named})
    if sum(len(header.tensors) for header in found.headers.values()) != len(found.files):
        raise CheckpointError(f"{folder}: a tensor is in two files; `checkpoint verify` names it")
    if index and index.weight_map != found.files:
        raise CheckpointError(f"{folder}: {INDEX_NAME} does not tell what is in the files; `checkpoint verify` says where")
    return found
