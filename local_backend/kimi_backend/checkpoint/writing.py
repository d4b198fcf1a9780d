"""Lay out a safetensors file before any of its data is there, so that it can be written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .dtypes import BITS, tensor_bytes
from .headers import TensorInfo

__all__ = ["lay_out"]


def lay_out(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, TensorInfo]]:
    """The first bytes of a file (length and header), and where each tensor goes, counted from the end of these bytes.

    Wider elements come first, then names in order, and the header is filled up to 8 bytes: as the safetensors library does
    it, so that every tensor is aligned for those that map the file into memory.

    Args:
        tensors: element type and shape by name.
        metadata: the file's `__metadata__`.
    """
    places: dict[str, TensorInfo] = {}
    offset = 0
    for name in sorted(tensors, key=lambda name: (-BITS[tensors[name][0]], name)):
        dtype, shape = tensors[name]
        size = tensor_bytes(dtype, shape) or 0
        places[name] = TensorInfo(dtype, shape, offset, offset + size)
        offset += size
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    for name, info in places.items():
        entries[name] = {"dtype": info.dtype, "shape": info.shape, "data_offsets": (info.begin, info.end)}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, places
