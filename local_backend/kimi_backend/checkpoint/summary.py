"""`inspect`: what a checkpoint holds, told by its headers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from .dtypes import FP8
from .folder import Checkpoint, open_checkpoint
from .headers import TensorInfo
from .layout import SCALE_SUFFIX, layer_of, part_component

__all__ = ["Summary", "inspect", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a checkpoint. Bytes are those of the tensors; headers and other files are not counted."""

    folder: Path
    files: int
    tensors: int
    """Scales counted."""
    parameters: int
    """Weights, scales not counted. Kimi K2 has 1,026,408,232,448."""
    bytes: int
    bytes_by_dtype: Mapping[str, int]
    """By safetensors' names (F8_E4M3, BF16, F32, I32), largest first."""
    components: Mapping[str, int]
    """Parameters by component, largest first; `other` is what a K2 language model has not, such as a vision tower."""
    layers: tuple[int, ...]
    """The layers that something was found of, counted from 0."""
    format: str
    """`fp8-block`, `int4-g32` or `bf16`; else the element type of most of its bytes."""


def inspect(path: str | Path) -> Summary:
    """Summarise the checkpoint in the folder `path`, from its headers.

    Raises:
        CheckpointError: a file is missing, cut or damaged; `verify` tells all that is wrong.
    """
    return summarise(open_checkpoint(Path(path)))


def summarise(checkpoint: Checkpoint) -> Summary:
    """The summary of an open checkpoint."""
    sizes: Counter[str] = Counter()
    components: Counter[str] = Counter()
    layers: set[int | None] = set()
    for name, tensor in checkpoint.tensors():
        sizes[tensor.dtype] += tensor.bytes
        if count := parameters_of(name, tensor):
            components[part_component(name) or "other"] += count
        layers.add(layer_of(name))
    return Summary(
        folder=checkpoint.folder,
        files=len(checkpoint.headers),
        tensors=len(checkpoint.files),
        parameters=components.total(),
        bytes=sizes.total(),
        bytes_by_dtype=dict(sizes.most_common()),
        components=dict(components.most_common()),
        layers=tuple(sorted(layer for layer in layers if layer is not None)),
        format=_format(checkpoint, sizes),
    )


def parameters_of(name: str, tensor: TensorInfo) -> int:
    """Weights that a tensor holds: none in scales and stored shapes, 8 in each word of packed int4."""
    if name.endswith((f".weight{SCALE_SUFFIX}", ".weight_scale", ".weight_shape")):
        return 0
    return prod(tensor.shape) * (8 if name.endswith(".weight_packed") else 1)


def _format(checkpoint: Checkpoint, sizes: Counter[str]) -> str:
    names = checkpoint.files
    if any(name.endswith(".weight_packed") for name in names):
        return "int4-g32"
    if sizes[FP8] and any(name.endswith(SCALE_SUFFIX) for name in names):
        return "fp8-block"
    return sizes.most_common(1)[0][0].lower() if sizes else "empty"
