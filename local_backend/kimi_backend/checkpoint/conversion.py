"""What a conversion will write, worked out from headers and config.json alone, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from ..specs import BLOCK, read_architecture
from .dtypes import FLOATS, FP8
from .errors import CheckpointError
from .folder import Checkpoint
from .headers import TensorInfo
from .layout import LINEAR, SCALE_SUFFIX, prefix_of, weights
from .writing import lay_out

__all__ = ["Conversion", "Form", "Piece", "Shard", "convert_config", "plan_conversion"]

Form = Literal["bf16", "fp8"]
Action = Literal["copy", "dequantise", "quantise"]
#: As DeepSeek-V3 and Kimi K2 publish it in config.json.
_FP8_CONFIG: Final = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [BLOCK, BLOCK],
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One tensor of the source and what becomes of it. A weight's scales go where its weight goes."""

    name: str
    action: Action
    begin: int
    """Where it goes, counted from the start of the new file."""
    scales_begin: int = 0
    """Where its new scales go (quantise)."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One new file."""

    name: str
    head: bytes
    """Its first bytes: length and header."""
    size: int
    tensors: Mapping[str, TensorInfo]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """The whole of it."""

    source: Checkpoint
    to: Form
    block: int
    shards: tuple[Shard, ...]

    @property
    def changed(self) -> int:
        """Tensors that do not only move."""
        return sum(piece.action != "copy" for shard in self.shards for piece in shard.pieces)


def plan_conversion(source: Checkpoint, config: dict[str, Any], to: Form) -> Conversion:
    """Plan the conversion of `source`; every new file has the name of the file that its weights come from.

    Args:
        source: the checkpoint.
        config: its config.json.
        to: `bf16` undoes block-fp8; `fp8` makes it of the linear layers' weights, which are those of Kimi K2's own checkpoint.

    Raises:
        CheckpointError: scales are missing, orphaned or of a wrong shape, or there is nothing to convert.
    """
    block = _block(config)
    actions = _to_bf16(source, block) if to == "bf16" else _to_fp8(source, config)
    if not actions:
        raise CheckpointError(
            f"{source.folder}: no weight is {'block-fp8' if to == 'bf16' else 'bf16'}, there is nothing to convert"
        )
    shards = tuple(_shards(source, actions))
    return Conversion(source, to, block, shards)


def convert_config(config: dict[str, Any], to: Form) -> dict[str, Any]:
    """config.json of the converted checkpoint: as it was, but for `quantization_config`."""
    found = {key: value for key, value in config.items() if key != "quantization_config"}
    if isinstance(nested := found.get("text_config"), dict):
        inner = cast("dict[str, Any]", nested)
        found["text_config"] = {key: value for key, value in inner.items() if key != "quantization_config"}
    return found | ({"quantization_config": dict(_FP8_CONFIG)} if to == "fp8" else {})


def _block(config: dict[str, Any]) -> int:
    nested = cast("dict[str, Any]", config.get("text_config") or {})
    found = cast("dict[str, Any]", config.get("quantization_config") or nested.get("quantization_config") or {})
    size = found.get("weight_block_size", [BLOCK, BLOCK])
    if size != [BLOCK, BLOCK]:
        raise CheckpointError(
            f"config.json has weight_block_size {size}; the published form, which is converted here, has [128, 128]"
        )
    return BLOCK


def _to_bf16(source: Checkpoint, block: int) -> dict[str, Action]:
    """Weights to dequantise. Their scales may lie in other files."""
    for name, tensor in source.tensors():
        if name.endswith((".weight_packed", ".weight_scale")):
            raise CheckpointError(f"{source.folder}: {name} is of an int4 checkpoint; block-fp8 and bf16 can be converted")
        if name.endswith(SCALE_SUFFIX) and _dtype(source, name.removesuffix(SCALE_SUFFIX)) != FP8:
            raise CheckpointError(f"{source.folder}: the scales {name} belong to no fp8 weight; `checkpoint verify` tells more")
        if tensor.dtype == FP8:
            _check_scales(source, name, tensor, block)
    return {name: "dequantise" for name, tensor in source.tensors() if tensor.dtype == FP8}


def _check_scales(source: Checkpoint, name: str, tensor: TensorInfo, block: int) -> None:
    scales = name + SCALE_SUFFIX
    if scales not in source.files:
        raise CheckpointError(f"{source.folder}: the scales {scales} are missing, without them the fp8 weight means nothing")
    found = source[scales]
    wanted = tuple(-(-size // block) for size in tensor.shape)
    if len(wanted) != 2 or found.shape != wanted or found.dtype != "F32":
        shapes = f"{found.dtype} of shape {list(found.shape)}; a weight of shape {list(tensor.shape)} needs F32 of {list(wanted)}"
        raise CheckpointError(f"{source.folder}: the scales {scales} are {shapes}")


def _to_fp8(source: Checkpoint, config: dict[str, Any]) -> dict[str, Action]:
    """Weights to quantise: the linear layers', by their names in the architecture."""
    arch = read_architecture(config)
    linear = {name for name, matrix in weights(arch, prefix_of(source.files)) if matrix.component in LINEAR}
    if absent := sorted(linear - source.files.keys()):
        raise CheckpointError(f"{source.folder} lacks {len(absent)} weights of its config.json's model, the first is {absent[0]}")
    if clash := next((name for name in sorted(linear) if name + SCALE_SUFFIX in source.files), None):
        raise CheckpointError(f"{source.folder}: {clash} has scales already; convert the checkpoint to bf16 first")
    odd = [name for name in sorted(linear) if source[name].dtype not in FLOATS or len(source[name].shape) != 2]
    if odd:
        what = f"{source[odd[0]].dtype} of shape {list(source[odd[0]].shape)}"
        raise CheckpointError(f"{source.folder}: {odd[0]} is {what}; matrices of BF16, F16 or F32 become fp8")
    return dict.fromkeys(linear, "quantise")


def _dtype(source: Checkpoint, name: str) -> str | None:
    return source[name].dtype if name in source.files else None


def _shards(source: Checkpoint, actions: Mapping[str, Action]) -> Iterator[Shard]:
    for file, header in source.headers.items():
        kept = {
            n: t for n, t in header.tensors.items() if actions.get(n.removesuffix(SCALE_SUFFIX)) != "dequantise" or n in actions
        }
        if kept:  # a file of nothing but scales leaves none behind
            yield _shard(file, kept, actions, header.metadata or {"format": "pt"})


def _shard(file: str, kept: Mapping[str, TensorInfo], actions: Mapping[str, Action], metadata: Mapping[str, str]) -> Shard:
    tensors = dict(entry for name, tensor in kept.items() for entry in _new(name, tensor, actions.get(name, "copy")))
    head, places = lay_out(tensors, metadata)
    start = len(head)
    pieces = (
        Piece(
            name=name,
            action=actions.get(name, "copy"),
            begin=start + places[name].begin,
            scales_begin=start + places[name + SCALE_SUFFIX].begin if actions.get(name) == "quantise" else 0,
        )
        for name in places
        if name in kept
    )
    size = start + sum(place.bytes for place in places.values())
    return Shard(file, head, size, places, tuple(pieces))


def _new(name: str, tensor: TensorInfo, action: Action) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """What a tensor becomes: names with element types and shapes."""
    if action == "copy":
        yield name, (tensor.dtype, tensor.shape)
    elif action == "dequantise":
        yield name, ("BF16", tensor.shape)
    else:
        yield name, (FP8, tensor.shape)
        yield name + SCALE_SUFFIX, ("F32", tuple(-(-size // BLOCK) for size in tensor.shape))
