"""Rotary positions as DeepSeek-V3 and Kimi K2 have them: neighbouring pairs, slowed down by YaRN (arXiv 2309.00071).

Equal to transformers 5.23, but for an mscale other than 1 with an mscale_all_dim of 0: there it is the quotient of both, as
in SGLang 0.5.23, vLLM 0.33 and DeepSeek-V3's own code. K2 has 1 and 1.
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import torch
from torch import Tensor

from .specs.architecture import Architecture, RopeScaling

__all__ = ["frequencies", "rotate", "rotations", "softmax_scale", "wide"]


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn the pairs (x0, x1), (x2, x3), … of `[..., length, rope]` by `turns` of `[length, rope / 2]`.

    Neighbours are a pair in these checkpoints; Llama's pair the first half with the second.
    """
    pairs = x.to(wide(x.dtype)).unflatten(-1, (-1, 2)).contiguous()
    return torch.view_as_real(torch.view_as_complex(pairs) * turns).flatten(-2).to(x.dtype)


def rotations(arch: Architecture, positions: Tensor, dtype: torch.dtype) -> Tensor:
    """The complex numbers that the pairs at `positions` are multiplied by, `[length, rope / 2]`."""
    angles = positions[:, None].to(dtype) * frequencies(arch, dtype, positions.device)
    yarn = arch.rope_scaling
    length = mscale(yarn.factor, yarn.mscale) / mscale(yarn.factor, yarn.mscale_all_dim) if yarn else 1.0
    return torch.polar(torch.full_like(angles, length), angles)


def frequencies(arch: Architecture, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Angle per position of each pair, `[rope / 2]`. YaRN slows down those that turn too seldom to be known from training."""
    dim, yarn = arch.qk_rope_head_dim, arch.rope_scaling
    wavelengths = arch.rope_theta ** (torch.arange(0, dim, 2, dtype=dtype, device=device) / dim)
    if yarn is None:
        return 1 / wavelengths
    low, high = (pair_that_turns(times, arch, yarn) for times in (yarn.beta_fast, yarn.beta_slow))
    first, last = max(math.floor(low), 0), min(math.ceil(high), dim - 1)
    pair = torch.arange(dim // 2, dtype=dtype, device=device)
    # 0: turns often, as trained; 1: slowed down by the whole factor. 0.001 is YaRN's own guard against an empty ramp.
    slowed = ((pair - first) / ((last - first) or 0.001)).clamp(0, 1)
    return slowed / (yarn.factor * wavelengths) + (1 - slowed) / wavelengths


def pair_that_turns(times: float, arch: Architecture, yarn: RopeScaling) -> float:
    """Index, not rounded, of the pair that makes so many whole turns within the length trained on."""
    turns = yarn.original_max_position_embeddings / (times * 2 * math.pi)
    return arch.qk_rope_head_dim * math.log(turns) / (2 * math.log(arch.rope_theta))


def softmax_scale(arch: Architecture) -> float:
    """What scores are multiplied by before the softmax; YaRN sharpens it for the longer context."""
    yarn = arch.rope_scaling
    return arch.qk_head_dim**-0.5 * (mscale(yarn.factor, yarn.mscale_all_dim) ** 2 if yarn else 1.0)


def mscale(factor: float, weight: float) -> float:
    """YaRN's sharpening of attention for a context `factor` times as long: sqrt(1 / t) in the paper."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def wide(dtype: torch.dtype) -> torch.dtype:
    """What sums and softmaxes are computed in: fp32 at least."""
    return torch.promote_types(dtype, torch.float32)
