"""How many bytes a matrix takes in each of the formats in which K2 is published, or converted to."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .architecture import SpecError
from .matrices import COMPONENTS, Component, Matrix

__all__ = ["BLOCK", "GROUP", "Format", "Formats", "matrix_bytes", "read_formats"]

Format = Literal["bf16", "fp8-block", "int4-g32"]
Formats = Mapping[Component, Format]
BLOCK = 128
"""Rows and columns of a block that shares one fp32 scale (block-fp8, as DeepSeek-V3 published it)."""
GROUP = 32
"""Columns of a row that share one bf16 scale (K2-Thinking's and K2.5's int4)."""

_LINEAR: tuple[Component, ...] = ("routed experts", "attention", "shared experts", "dense MLP")


class _Quantization(BaseModel):
    """`quantization_config` of a config.json, as far as it decides bytes."""

    model_config = ConfigDict(extra="ignore")
    quant_method: str
    weight_block_size: tuple[int, int] | None = None
    format: str | None = None
    config_groups: dict[str, _Group] = Field(default_factory=dict)


class _Group(BaseModel):
    weights: _Weights


class _Weights(BaseModel):
    num_bits: int
    group_size: int | None = None


_Quantization.model_rebuild()


def matrix_bytes(matrix: Matrix, form: Format) -> int:
    """Bytes of the matrices with their scales.

    block-fp8: a byte an element and 4 a block of 128×128, blocks at the edges counted whole. int4-g32: half a byte and 2 per 32
    columns. The router's correction bias stays in fp32, as DeepSeek-V3's checkpoints have it.
    """
    if matrix.name == "e_score_correction_bias":
        return 4 * matrix.parameters
    if form == "bf16" or matrix.columns == 1:
        return 2 * matrix.parameters
    if form == "fp8-block":
        return matrix.parameters + 4 * ceil(matrix.rows / BLOCK) * ceil(matrix.columns / BLOCK) * matrix.count
    return (matrix.parameters + 1) // 2 + 2 * matrix.rows * ceil(matrix.columns / GROUP) * matrix.count


def read_formats(config: Mapping[str, Any]) -> Formats:
    """The format of each component, from a config.json's `quantization_config`; without one all is bf16.

    Raises:
        SpecError: a quantisation that Kimi K2 was not published in.
    """
    nested: object = config.get("text_config")
    inner = cast("dict[str, Any]", nested) if isinstance(nested, dict) else {}
    found: object = config.get("quantization_config") or inner.get("quantization_config")
    if found is None:
        return dict.fromkeys(COMPONENTS, "bf16")
    try:
        quantization = _Quantization.model_validate(found)
    except ValidationError as error:
        raise SpecError(f"quantization_config: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from error
    if quantization.quant_method == "fp8" and quantization.weight_block_size == (BLOCK, BLOCK):
        return {c: "fp8-block" if c in _LINEAR else "bf16" for c in COMPONENTS}
    if quantization.quant_method == "compressed-tensors" and _is_int4(quantization):
        return {c: "int4-g32" if c == "routed experts" else "bf16" for c in COMPONENTS}
    raise SpecError(
        f"quantization_config: {quantization.quant_method} with {_told(quantization)} is not a format of Kimi K2; known are fp8 "
        "with weight_block_size [128, 128], compressed-tensors pack-quantized with 4 bits in groups of 32, and bf16 (no "
        "quantization_config)"
    )


def _is_int4(quantization: _Quantization) -> bool:
    groups = list(quantization.config_groups.values())
    return (
        quantization.format in (None, "pack-quantized")
        and bool(groups)
        and all(g.weights.num_bits == 4 and g.weights.group_size == GROUP for g in groups)
    )


def _told(quantization: _Quantization) -> str:
    if quantization.quant_method == "fp8":
        return f"weight_block_size {quantization.weight_block_size and list(quantization.weight_block_size)}"
    return f"format {quantization.format}, " + ", ".join(
        f"{g.weights.num_bits} bits in groups of {g.weights.group_size}" for g in quantization.config_groups.values()
    )
