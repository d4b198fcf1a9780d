"""Checkpoints with real weights, written by safetensors' own library, and block-fp8 worked out from its definition."""

from __future__ import annotations

import json
import math
import struct
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoint_makers import FP8_CONFIG, Spec, bf16_spec, fp8_spec, split, write_index, write_texts


def e4m3(byte: int) -> float:
    """e4m3fn: a sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinity, NaN is all ones. (arXiv 2209.05433)"""
    sign = -1.0 if byte & 0x80 else 1.0
    exponent, mantissa = byte >> 3 & 0xF, byte & 7
    if (exponent, mantissa) == (15, 7):
        return math.nan
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


#: The finite values from 0 upwards: byte n stands for the n-th of them.
POSITIVE = [e4m3(byte) for byte in range(0x7F)]


def single(value: float) -> float:
    """The nearest fp32."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def bf16_bits(value: float) -> int:
    """The nearest bf16 (to even) of an fp32, as its 16 bits."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def bf16_value(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def nearest_e4m3(value: float) -> int:
    """The byte of the nearest e4m3, to even."""
    size = abs(value)
    at = min(bisect_left(POSITIVE, size), len(POSITIVE) - 1)
    if at and (size - POSITIVE[at - 1], (at - 1) & 1) < (POSITIVE[at] - size, at & 1):
        at -= 1
    return at | (0x80 if math.copysign(1, value) < 0 else 0)


def decode(values: bytes, scales: Sequence[float], rows: int, columns: int) -> list[int]:
    """bf16 bits of a block-fp8 weight: the fp32 product, rounded once. e4m3 × fp32 is exact in double precision."""
    across = math.ceil(columns / 128)
    return [
        bf16_bits(single(e4m3(values[row * columns + column]) * scales[row // 128 * across + column // 128]))
        for row in range(rows)
        for column in range(columns)
    ]


def encode(weights: Sequence[float], rows: int, columns: int) -> tuple[bytes, list[float]]:
    """Block-fp8 of a weight: a block's scale is its largest absolute value / 448, 1 for a block of zeros."""
    across = math.ceil(columns / 128)
    largest = [0.0] * (math.ceil(rows / 128) * across)
    for at, value in enumerate(weights):
        block = at // columns // 128 * across + at % columns // 128
        largest[block] = max(largest[block], abs(value))
    scales = [single(value / 448) if value else 1.0 for value in largest]
    blocks = (at // columns // 128 * across + at % columns // 128 for at in range(len(weights)))
    return bytes(nearest_e4m3(single(value / scales[block])) for value, block in zip(weights, blocks, strict=True)), scales


def make_fp8(folder: Path, config: dict[str, Any], *, shards: int = 3, seed: int = 0) -> dict[str, Spec]:
    """A block-fp8 checkpoint of random weights; many scales are in another file than their weights."""
    return _make(folder, fp8_spec(config), config | {"quantization_config": FP8_CONFIG}, shards, seed)


def make_bf16(folder: Path, config: dict[str, Any], *, shards: int = 3, seed: int = 0) -> dict[str, Spec]:
    """A bf16 checkpoint of random weights."""
    return _make(folder, bf16_spec(config), config, shards, seed)


def _make(folder: Path, spec: Spec, config: dict[str, Any], shards: int, seed: int) -> dict[str, Spec]:
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(seed)

    def tensor(name: str, dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
        if dtype == "F8_E4M3":
            found = torch.randint(0, 254, shape, generator=random, dtype=torch.uint8)
            return torch.where(found == 0x7F, 0x80, found).to(torch.uint8).view(torch.float8_e4m3fn)
        scale = 1e-4 if name.endswith("_scale_inv") else 0.02
        return (torch.randn(shape, generator=random).abs() * scale + scale / 10).to(
            {"F32": torch.float32, "BF16": torch.bfloat16}[dtype]
        )

    write_texts(folder, config)
    (folder / "LICENSE").write_text("Modified MIT")
    files = split(spec, shards)
    for file, part in files.items():
        save_file({name: tensor(name, *entry) for name, entry in part.items()}, folder / file, {"format": "pt"})
    write_index(folder, files)
    return files


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found
