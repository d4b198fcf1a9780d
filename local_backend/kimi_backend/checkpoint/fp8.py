"""Raw rows of a weight, from block-fp8 to bf16 and back. Needs torch.

The arithmetic is `kimi_backend.weights.block_fp8`'s: fp8 to bf16 is the fp32 product of value and block scale, rounded once to the
nearest even bf16; bf16 to fp8 divides by the block's scale, its largest absolute value / 448 (1 for a block of zeros), and
rounds to the nearest even e4m3. Values that are not finite are refused in both directions: no weight of a sound checkpoint
is NaN or infinite, and one NaN would make its whole block NaN in fp8.

What a published checkpoint keeps on its way to bf16 and back (2048 x 7168 normal weights, quantised as published): every
e4m3 byte; no scale exactly, for the new ones come from bf16's 8 bits (up to 0.34 % off); in bf16 then three of four weights,
and the others differ by one unit in the last place. From there on nothing changes any more.
"""

from __future__ import annotations

import sys

import torch

from ..weights.block_fp8 import LARGEST, WeightsError, dequantise, has_nan, quantise
from .errors import CheckpointError

__all__ = ["dequantise_rows", "quantise_rows"]

_TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("safetensors files are little-endian, and so must be the machine that converts them")


def dequantise_rows(values: bytearray, scales: bytearray, columns: int, block: int) -> bytearray:
    """Rows of bf16, as bytes.

    Args:
        values: whole rows of e4m3, `[rows, columns]`; rows start at a block's first.
        scales: fp32, `[ceil(rows / block), ceil(columns / block)]`.
        columns: width of the weight.
        block: rows, and columns, of a block.

    Raises:
        CheckpointError: a value is NaN, or a scale is none.
    """
    weight = torch.frombuffer(values, dtype=torch.float8_e4m3fn).view(-1, columns)
    if has_nan(weight):
        odd = values.count(0x7F) + values.count(0xFF)
        raise CheckpointError(f"{odd:,} values are NaN; the file is damaged, download it again")
    scale_inv = torch.frombuffer(scales, dtype=torch.float32).view(-1, -(-columns // block))
    if odd := int((~torch.isfinite((scale_inv * LARGEST).bfloat16())).sum()):
        raise CheckpointError(f"{odd:,} scales are NaN, infinite or too large for bf16; the file is damaged, download it again")
    return _bytes_of(dequantise(weight, scale_inv, block, dtype=torch.bfloat16))


def quantise_rows(values: bytearray, dtype: str, columns: int, block: int) -> tuple[bytearray, bytearray]:
    """Rows of e4m3 and of fp32 scales, as bytes; the reverse of `dequantise_rows`.

    Args:
        values: whole rows of `dtype`, `[rows, columns]`; rows start at a block's first.
        dtype: safetensors' name: BF16, F16 or F32.
        columns: width of the weight.
        block: rows, and columns, of a block.

    Raises:
        CheckpointError: a value is not finite.
    """
    weight = torch.frombuffer(values, dtype=_TYPES[dtype]).view(-1, columns)
    try:
        found, scale_inv = quantise(weight, block)
    except WeightsError as error:
        raise CheckpointError(f"{error}; the file is damaged, download it again") from error
    return _bytes_of(found), _bytes_of(scale_inv)


def _bytes_of(tensor: torch.Tensor) -> bytearray:
    found = bytearray(tensor.numel() * tensor.element_size())
    if found:
        torch.frombuffer(found, dtype=tensor.dtype).copy_(tensor.reshape(-1))
    return found
