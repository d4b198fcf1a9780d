"""`model.safetensors.index.json`: which file holds which tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from .errors import CheckpointError
from .strict_json import as_object, read_object, shown

__all__ = ["INDEX_NAME", "SINGLE_NAME", "SUFFIX", "Index", "read_index", "shard_names"]

INDEX_NAME: Final = "model.safetensors.index.json"
#: The file of a checkpoint that is not split and needs no index.
SINGLE_NAME: Final = "model.safetensors"
SUFFIX: Final = ".safetensors"


@dataclass(frozen=True, slots=True)
class Index:
    """A checkpoint's index."""

    weight_map: Mapping[str, str]
    """File of each tensor: plain names of files beside the index."""
    total_size: int | None
    """Bytes of all tensors, as the index tells; None when it does not."""
    metadata: Mapping[str, object]


def read_index(folder: Path) -> Index | None:
    """The index in `folder`; None when there is none.

    Raises:
        CheckpointError: it is damaged, or names a file outside the folder.
    """
    path = folder / INDEX_NAME
    if not path.exists():
        return None
    found = read_object(path)
    weight_map = as_object(found.get("weight_map"), f"the weight_map of {path}")
    files = _plain(weight_map, path)
    metadata = as_object(found.get("metadata", {}), f"the metadata of {path}")
    total = metadata.get("total_size")
    return Index(files, total if type(total) is int else None, metadata)


def shard_names(folder: Path) -> tuple[str, ...]:
    """Names of the safetensors files in `folder`, sorted.

    Raises:
        CheckpointError: it is no folder, or a name holds a newline or an escape sequence.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(SUFFIX))
    except OSError as error:
        raise CheckpointError(f"{folder}: {error.strerror or error}; name the folder of a checkpoint") from error
    if odd := next((name for name in names if not name.isprintable()), None):
        raise CheckpointError(f"{folder}: the file name {odd!a} is not printable text; rename or remove it")
    if not names and not (folder / INDEX_NAME).exists():
        inner = "; name one of the folders below its snapshots/" if (folder / "snapshots").is_dir() else ""
        raise CheckpointError(f"{folder} holds no safetensors file and no {INDEX_NAME}{inner}")
    return tuple(names)


def _plain(weight_map: Mapping[str, object], path: Path) -> dict[str, str]:
    """The map, all of whose files are names that stay in the folder on every system: links may lead elsewhere, names may not."""
    found: dict[str, str] = {}
    known: set[str] = set()
    for tensor, file in weight_map.items():
        if not tensor.isprintable():
            raise CheckpointError(f"{path}: the tensor name {shown(tensor)} is not printable text")
        if not isinstance(file, str) or not file.isprintable() or not file.endswith(SUFFIX) or file == SUFFIX:
            raise CheckpointError(
                f"{path} names the file {shown(file)} for {shown(tensor)}; it must be the name of a {SUFFIX} file"
            )
        if file not in known and (PurePosixPath(file).name != file or PureWindowsPath(file).name != file):
            raise CheckpointError(f"{path} names the file {shown(file)} for {shown(tensor)}, which leaves the checkpoint's folder")
        known.add(file)
        found[tensor] = file
    return found
