"""Packed int4, the form of the experts in K2-Thinking's and K2.5's checkpoints: eight values per int32, scales per 32.

A weight `W` of `[rows, columns]` is kept as `W.weight_packed` (int32), `W.weight_scale` (bf16, one per group of neighbouring
columns) and `W.weight_shape`. Source: compressed-tensors 0.20.0, `pack_quantized` (symmetric, four bits).
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import torch
from torch import Tensor

from .block_fp8 import WeightsError

__all__ = ["unpack"]

PER_WORD = 8


def unpack(packed: Tensor, scale: Tensor, shape: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weights that the three tensors stand for, `[rows, columns]`: each product is exact, then rounded to `dtype`.

    Args:
        packed: int32, `[rows, ceil(columns / 8)]`; the first column is in the lowest four bits, as value + 8.
        scale: `[rows, groups]`; a group is `columns / groups` neighbouring columns.
        shape: int64, `[rows, columns]` as its two values.
        dtype: what to round to.

    Raises:
        WeightsError: the tensors do not belong together, or the values are not of four bits.
    """
    rows, columns = _matrix(shape)
    groups = scale.shape[-1] if scale.dim() else 0
    if (
        packed.dtype != torch.int32
        or not groups
        or tuple(packed.shape) != (rows, -(-columns // PER_WORD))
        or tuple(scale.shape) != (rows, groups)
        or columns % groups
    ):
        shapes = f"{list(packed.shape)} with scales of {list(scale.shape)}"
        raise WeightsError(
            f"a packed weight ({packed.dtype}) of shape {shapes} is not an int4 matrix of [{rows}, {columns}] with equal groups"
        )
    low = torch.arange(0, 32, 4, dtype=torch.int32, device=packed.device)
    values = ((packed[..., None] >> low & 15) - 8).flatten(1)[:, :columns]
    exact = values.unflatten(1, (groups, -1)) * scale[..., None].float()
    return exact.flatten(1).to(dtype)


def _matrix(shape: Tensor) -> tuple[int, int]:
    found: list[int] = shape.tolist()
    if shape.dim() != 1 or len(found) != 2 or min(found) < 1:
        raise WeightsError(f"weight_shape says {found}, which is no matrix")
    return found[0], found[1]
