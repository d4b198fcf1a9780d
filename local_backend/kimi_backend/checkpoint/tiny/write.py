"""A checkpoint's folder: written beside its name, and moved there when it is whole."""

# safetensors annotates paths without their kind.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TinyError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["new_folder", "write_json", "write_shards"]


@contextmanager
def new_folder(folder: Path) -> Generator[Path]:
    """An empty folder to write into; it becomes `folder` at the end, or vanishes where that was not reached.

    Raises:
        TinyError: `folder` has something in it, is a file, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TinyError(f"{folder} is there already; name a new folder, or an empty one")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise TinyError(f"{folder} cannot be made: {error.strerror or error}") from error
    try:
        made.chmod(0o755)
        yield made
        for file in made.iterdir():
            file.chmod(0o644)  # safetensors makes files for their owner alone; engines in containers are someone else
            _to_disk(file)
        made.replace(folder)
    except OSError as error:
        raise TinyError(f"{folder} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """`content` as indented JSON."""
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_shards(folder: Path, tensors: Mapping[str, Tensor], shards: int) -> None:
    """`model-0000i-of-0000n.safetensors` of about equal size, tensors in the order given, and the index over them.

    Raises:
        TinyError: there are fewer tensors than shards, none is asked for, or a file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if not 1 <= shards <= len(tensors):
        raise TinyError(f"{shards} shards of {len(tensors)} tensors; ask for 1 to {len(tensors)}")
    weight_map: dict[str, str] = {}
    for number, names in enumerate(_split({name: t.nbytes for name, t in tensors.items()}, shards), 1):
        file = f"model-{number:05}-of-{shards:05}.safetensors"
        try:
            save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
        except SafetensorError as error:  # also of a full disk
            raise TinyError(f"{file} could not be written: {error}") from error
        weight_map |= dict.fromkeys(names, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def _split(sizes: Mapping[str, int], parts: int) -> list[list[str]]:
    """The names in `parts` runs of about equal size, none empty."""
    names, total, before = list(sizes), sum(sizes.values()), 0
    found: list[list[str]] = [[]]
    for at, name in enumerate(names):
        missing = parts - len(found)
        if found[-1] and missing and (before >= total * len(found) / parts or len(names) - at == missing):
            found.append([])
        found[-1].append(name)
        before += sizes[name]
    return found


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
