"""The element types of safetensors. Source: `Dtype` of the safetensors crate, 0.8."""

from __future__ import annotations

from math import prod
from typing import Final

__all__ = ["BITS", "FLOATS", "FP8", "tensor_bytes"]

#: Bits of one element.
BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E4M3FNUZ": 8, "F8_E5M2": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
#: Types that weights without scales have.
FLOATS: Final = frozenset({"BF16", "F16", "F32"})
#: The type of block-fp8's weights: e4m3 without infinities.
FP8: Final = "F8_E4M3"


def tensor_bytes(dtype: str, shape: tuple[int, ...]) -> int | None:
    """Bytes of a tensor; None when its last byte would be broken, which safetensors does not allow."""
    bits = BITS[dtype] * prod(shape)
    return None if bits % 8 else bits // 8
