"""Block-fp8, the form of K2's own checkpoints: e4m3 values, and one fp32 scale per block of 128 × 128 weights.

A weight `W` of `[rows, columns]` is kept as `W.weight` (fp8) and `W.weight_scale_inv` (fp32) of
`[ceil(rows / 128), ceil(columns / 128)]`; the weight is the product of the two. Blocks at the right and at the bottom may
be cut: they have a scale of their own. Source: DeepSeek-V3, README_WEIGHTS.md and inference/kernel.py (`weight_dequant`).
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BackendError

__all__ = ["BLOCK", "LARGEST", "WeightsError", "dequantise", "has_nan", "quantise", "scale_shape"]

#: Rows, and columns, of a block.
BLOCK: Final = 128
#: Largest finite value of e4m3; a block's largest weight becomes it.
LARGEST: Final = 448.0


class WeightsError(BackendError):
    """Tensors that are not what the model or their own scales need; the text says which, with their shapes."""


def scale_shape(rows: int, columns: int, block: int = BLOCK) -> tuple[int, int]:
    """Shape of the scales of a weight of `[rows, columns]`."""
    return -(-rows // block), -(-columns // block)


def dequantise(weight: Tensor, scale_inv: Tensor, block: int = BLOCK, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weights that `weight` and its scales stand for, `[rows, columns]`.

    The product is computed in fp32 and rounded once, to `dtype`, as DeepSeek's own converter to bf16 does.

    Args:
        weight: `[rows, columns]`, fp8 e4m3.
        scale_inv: fp32, one scale per block: `[ceil(rows / block), ceil(columns / block)]`.
        block: rows, and columns, of a block.
        dtype: what to round to.

    Raises:
        WeightsError: the two tensors do not belong together, or the weight is not e4m3.
    """
    rows, columns = _matrix(weight)
    if weight.dtype != torch.float8_e4m3fn:
        raise WeightsError(f"block-fp8 is e4m3 (torch.float8_e4m3fn), and the weight that the scales are for is {weight.dtype}")
    if tuple(scale_inv.shape) != (needed := scale_shape(rows, columns, block)):
        belongs = f"{list(needed)}, one scale per {block} x {block} block, not {list(scale_inv.shape)}"
        raise WeightsError(f"the scales of a weight of shape {list(weight.shape)} are of shape {belongs}")
    found = torch.empty(weight.shape, dtype=dtype, device=weight.device)
    # A row of blocks at a time: the fp32 product of a whole dense weight would need half a gigabyte.
    for values, scales, out in zip(weight.split(block), scale_inv.float(), found.split(block), strict=True):
        out.copy_(_by_block(_decode(values), scales, block, Tensor.mul_))
    return found


@torch.no_grad()
def quantise(weight: Tensor, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """`weight` as (fp8 e4m3 `[rows, columns]`, fp32 scales `[ceil(rows / block), ceil(columns / block)]`).

    A block's scale is its largest absolute weight / 448, and 1 where all of it is zero.

    Raises:
        WeightsError: `weight` is no matrix, or holds an infinity or NaN, which fp8 cannot keep.
    """
    rows, columns = _matrix(weight)
    values = torch.empty(weight.shape, dtype=torch.float8_e4m3fn, device=weight.device)
    scale_inv = torch.empty(scale_shape(rows, columns, block), dtype=torch.float32, device=weight.device)
    for panel, out, scales in zip(weight.split(block), values.split(block), scale_inv, strict=True):
        exact = panel.to(torch.float32, copy=True)
        scales.copy_(_scales(exact, block))
        out.copy_(_by_block(exact, scales, block, Tensor.div_))
    if not bool(torch.isfinite(scale_inv).all()):
        raise WeightsError(f"a weight of shape {list(weight.shape)} holds an infinity or NaN, which fp8 cannot keep")
    return values, scale_inv


def has_nan(values: Tensor) -> bool:
    """Whether e4m3 `values` hold a NaN: 0x7f, the largest signed byte, or 0xff, the largest unsigned one."""
    return values.numel() > 0 and (int(values.view(torch.int8).amax()) == 0x7F or int(values.view(torch.uint8).amax()) == 0xFF)


def _matrix(weight: Tensor) -> tuple[int, int]:
    if weight.dim() != 2:
        raise WeightsError(f"block-fp8 is for matrices, not for a tensor of shape {list(weight.shape)}")
    return weight.shape[0], weight.shape[1]


def _decode(values: Tensor) -> Tensor:
    """What e4m3 `values` stand for, as new fp32: exactly torch's own cast, which is eight times as slow on a CPU.

    fp16 has one more bit of exponent in front, more of mantissa behind, and a bias of 15 instead of 7: with its sign moved to
    the top and the rest to below the first bit of the exponent, an e4m3 is the fp16 of value / 256, subnormal ones too.
    """
    if has_nan(values):  # in fp16 its bits would be a number
        return values.to(torch.float32)
    bits = values.view(torch.int8).to(torch.int16)
    # int8 to int16 repeats the sign; the copy of it that the shift leaves below the top is cleared.
    bits.bitwise_left_shift_(7).bitwise_and_(~0x4000)
    # Not by way of the scale: scale * 256 may be infinite.
    return bits.view(torch.float16).float().mul_(256)


def _by_block(panel: Tensor, scales: Tensor, block: int, apply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """One row of blocks, fp32, multiplied or divided in place by each block's scale."""
    if panel.shape[1] % block:
        return apply(panel, scales.repeat_interleave(block)[: panel.shape[1]])
    apply(panel.unflatten(1, (-1, block)), scales[:, None])
    return panel


def _scales(panel: Tensor, block: int) -> Tensor:
    """Scales of one row of blocks."""
    of_columns = panel.abs().amax(0)
    largest = F.pad(of_columns, (0, -len(of_columns) % block)).unflatten(0, (-1, block)).amax(1)
    # Below the smallest normal number the quotient would lose bits, or be 0 and divide by it.
    scales = (largest / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(largest == 0, 1.0, scales)
