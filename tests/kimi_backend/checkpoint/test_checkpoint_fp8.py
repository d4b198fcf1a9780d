"""Block-fp8 to bf16 and back, bit by bit against the format's definition (`checkpoint_weights`, pure Python)."""

from __future__ import annotations

import math
import random
import struct

import pytest
from checkpoint_weights import decode, e4m3, encode
from needs import needs

torch = needs("torch")
torch.set_num_threads(1)

from kimi_backend.checkpoint import CheckpointError  # noqa: E402
from kimi_backend.checkpoint.fp8 import dequantise_rows, quantise_rows  # noqa: E402

SHAPES = [(128, 128), (1, 1), (129, 127), (256, 300), (127, 257), (300, 5), (576, 40)]


def floats(values: bytes | bytearray) -> list[float]:
    return list(struct.unpack(f"<{len(values) // 4}f", values))


def halves(values: bytes | bytearray) -> list[int]:
    return list(struct.unpack(f"<{len(values) // 2}H", values))


def packed(values: list[float]) -> bytearray:
    return bytearray(struct.pack(f"<{len(values)}f", *values))


def random_fp8(rows: int, columns: int, seed: int) -> tuple[bytearray, list[float]]:
    """Every finite byte, and scales over many orders of magnitude."""
    chance = random.Random(seed)
    finite = [byte for byte in range(256) if byte & 0x7F != 0x7F]
    blocks = math.ceil(rows / 128) * math.ceil(columns / 128)
    scales = floats(packed([chance.uniform(1, 2) * 2.0 ** chance.randint(-30, 10) for _ in range(blocks)]))
    return bytearray(chance.choices(finite, k=rows * columns)), scales


@pytest.mark.parametrize("scale", [1.0, 2.0**-13, 0.00123456789, 1.9999999, 3e-39, 2.0**110])
def test_every_byte_at_many_scales(scale: float) -> None:
    scale = floats(packed([scale]))[0]
    values = bytearray(byte for byte in range(256) if byte & 0x7F != 0x7F)
    assert halves(dequantise_rows(values, packed([scale]), 1, 1000)) == decode(values, [scale] * 2, 254, 1)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_fp8_to_bf16(rows: int, columns: int) -> None:
    values, scales = random_fp8(rows, columns, rows)
    assert halves(dequantise_rows(values, packed(scales), columns, 128)) == decode(values, scales, rows, columns)


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
@pytest.mark.parametrize("dtype", ["BF16", "F32", "F16"])
def test_floats_to_fp8(rows: int, columns: int, dtype: str) -> None:
    chance = random.Random(columns)
    kind = {"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16}[dtype]
    weights = torch.tensor([chance.gauss(0, 0.02) for _ in range(rows * columns)]).to(kind)
    weights[: columns // 2] = 0
    weights[-1] = -0.0
    values, scales = quantise_rows(bytearray(weights.view(torch.uint8).tolist()), dtype, columns, 128)
    wanted, wanted_scales = encode(weights.tolist(), rows, columns)
    assert bytes(values) == wanted
    assert floats(scales) == wanted_scales


def test_a_block_of_zeros_has_scale_one() -> None:
    values, scales = quantise_rows(bytearray(2 * 128 * 130), "BF16", 130, 128)
    assert set(values) == {0}
    assert floats(scales) == [1.0, 1.0]


@pytest.mark.parametrize("byte", [0x7F, 0xFF])
def test_nan_in_fp8_is_refused(byte: int) -> None:
    assert math.isnan(e4m3(byte))
    with pytest.raises(CheckpointError, match="1 values are NaN;"):
        dequantise_rows(bytearray([1, byte, 2, 3]), packed([1.0]), 2, 128)


@pytest.mark.parametrize("scale", [math.nan, math.inf, 3e38])
def test_scales_that_make_no_number_are_refused(scale: float) -> None:
    with pytest.raises(CheckpointError, match="1 scales are NaN, infinite or too large"):
        dequantise_rows(bytearray([0x7E] * 4), packed([scale]), 2, 128)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_fp8_cannot_hold_is_refused(odd: float) -> None:
    with pytest.raises(CheckpointError, match=r"holds an infinity or NaN.*download it again"):
        quantise_rows(packed([1.0, odd, 2.0, 3.0]), "F32", 2, 128)


def test_there_and_back_again() -> None:
    """What a conversion to bf16 and back keeps of a published checkpoint, whose blocks' largest value is 448.

    Values: all. Scales: not their last bits, for bf16 keeps 8 bits of the largest weight, from which the new one comes.
    Weights, converted once more: within one unit in the last place of bf16. From there on nothing changes any more.
    """
    rows, columns = 256, 384
    values, scales = random_fp8(rows, columns, 7)
    for block in range(6):  # a weight of 448 in every block, as the published quantiser leaves it
        values[block // 3 * 128 * columns + block % 3 * 128] = 0x7E
    first = dequantise_rows(values, packed(scales), columns, 128)
    again, new_scales = quantise_rows(first, "BF16", columns, 128)
    assert again == values
    ratios = [abs(new / old - 1) for new, old in zip(floats(new_scales), scales, strict=True)]
    assert 0 < max(ratios) <= 2**-8
    second = dequantise_rows(again, new_scales, columns, 128)
    steps = [abs(a - b) for a, b in zip(halves(first), halves(second), strict=True)]
    assert max(steps) <= 1
    assert quantise_rows(second, "BF16", columns, 128) == (again, new_scales)


def test_a_block_whose_largest_value_is_not_448_gets_a_finer_scale() -> None:
    """Then the bytes change, and the weights come back to within bf16's precision: nothing is lost that fp8 held."""
    values = bytearray([0x38, 0x30, 0xB8, 0x01])  # 1, 0.5, -1, 2**-9
    first = dequantise_rows(values, packed([2.0]), 2, 128)
    again, new_scales = quantise_rows(first, "BF16", 2, 128)
    assert list(again) == [0x7E, 0x76, 0xFE, 0x36]  # 448, 224, -448, 0.875
    second = dequantise_rows(again, new_scales, 2, 128)
    assert halves(second) == halves(first)
