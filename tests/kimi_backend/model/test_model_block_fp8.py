"""Block-fp8 against e4m3 and the block rule written out from their definitions, number by number."""

from __future__ import annotations

import math
from typing import Any

import pytest
from needs import needs

torch = needs("torch")
# On a busy machine, threads that wait for each other take far longer than these sizes do.
torch.set_num_threads(1)

from kimi_backend.weights.block_fp8 import WeightsError, dequantise, quantise, scale_shape  # noqa: E402


def e4m3(code: int) -> float:
    """The format's definition: a sign, four bits of exponent with bias 7, three of mantissa, no infinity (arXiv 2209.05433)."""
    sign, exponent, mantissa = -1 if code & 0x80 else 1, code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return math.nan
    return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))


TABLE = [e4m3(code) for code in range(256)]
FINITE = sorted({value for value in TABLE if not math.isnan(value)})


def random(rows: int, columns: int, seed: int = 0) -> Any:
    """Weights of very different sizes from block to block."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.logspace(-4, 2, rows)[:, None] * torch.logspace(-2, 1, columns)
    return torch.randn(rows, columns, generator=generator) * size


@pytest.mark.parametrize("shape", [(128, 128), (1, 1), (130, 5), (3, 257), (129, 383)], ids=str)
def test_dequantised_is_code_times_scale_of_its_block(shape: tuple[int, int]) -> None:
    rows, columns = shape
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    codes[(codes & 0x7F) == 0x7F] = 0x7E
    scales = torch.rand(scale_shape(rows, columns), generator=generator) + 0.01
    found = dequantise(codes.view(torch.float8_e4m3fn), scales)
    # The product of two fp32 numbers is exact in fp64, then rounded once.
    expected = [[TABLE[int(codes[r, c])] * float(scales[r // 128, c // 128]) for c in range(columns)] for r in range(rows)]
    assert torch.equal(found, torch.tensor(expected, dtype=torch.float64).float())
    in_bf16 = dequantise(codes.view(torch.float8_e4m3fn), scales, dtype=torch.bfloat16)
    assert torch.equal(in_bf16, found.bfloat16())


@pytest.mark.parametrize("shape", [(1, 1), (130, 5), (3, 257), (129, 200)], ids=str)
def test_quantised_is_the_nearest_code_under_the_largest_weights_scale(shape: tuple[int, int]) -> None:
    weight = random(*shape)
    values, scales = quantise(weight)
    assert values.dtype == torch.float8_e4m3fn
    for row in range(0, shape[0], 128):
        for column in range(0, shape[1], 128):
            block, scale = weight[row : row + 128, column : column + 128], scales[row // 128, column // 128]
            assert scale == block.abs().max() / 448
            kept = values[row : row + 128, column : column + 128].float()
            for exact, found in zip((block / scale).flatten().tolist(), kept.flatten().tolist(), strict=True):
                assert abs(exact - found) <= min(abs(exact - value) for value in FINITE)


def test_codes_survive_when_the_blocks_largest_is_448() -> None:
    """Then the scale found is the scale there was, and quantising is the inverse of dequantising, bit by bit."""
    codes = torch.arange(256, dtype=torch.uint8).repeat(130, 1)
    codes[(codes & 0x7F) == 0x7F] = 0x7E
    scales = torch.tensor([[0.5, 2.0**-20], [3.0, 1.0]])
    values, found = quantise(dequantise(codes.view(torch.float8_e4m3fn), scales))
    assert torch.equal(values.view(torch.uint8), codes)
    assert torch.equal(found, scales)


def test_a_block_of_zeros_has_scale_one() -> None:
    weight = torch.zeros(128, 256)
    weight[5, 200] = -2.0
    values, scales = quantise(weight)
    assert torch.equal(scales, torch.tensor([[1.0, 2.0 / 448]]))
    assert torch.equal(dequantise(values, scales), weight)


def test_blocks_of_another_size() -> None:
    weight = random(10, 9)
    values, scales = quantise(weight, 4)
    assert scales.shape == (3, 3)
    assert (dequantise(values, scales, 4) - weight).abs().max() <= weight.abs().max() / 16


def test_weights_near_the_smallest_numbers_stay_finite() -> None:
    for size in (1e-45, 1e-40, 1e-37):
        values, scales = quantise(torch.full((2, 2), size))
        assert (scales > 0).all()
        assert torch.isfinite(dequantise(values, scales)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_fp8_cannot_keep_is_refused(bad: float) -> None:
    weight = torch.ones(200, 200)
    weight[150, 3] = bad
    with pytest.raises(WeightsError, match=r"\[200, 200\] holds an infinity or NaN"):
        quantise(weight)


def test_scales_of_another_weight_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"shape \[200, 300\] are of shape \[2, 3\].*not \[1, 3\]"):
        dequantise(torch.zeros(200, 300).to(torch.float8_e4m3fn), torch.ones(1, 3))
    with pytest.raises(WeightsError, match=r"for matrices, not for a tensor of shape \[8\]"):
        quantise(torch.zeros(8))


@pytest.mark.parametrize("columns", [128, 256, 254, 127])
@pytest.mark.parametrize(
    "scale", [1.0, 2.0**-149, 3 * 2.0**-149, 1.1754942e-38, -0.3, 0.0, 2.0**119.9, 2.0**127, 3.4028234e38, math.inf, math.nan]
)
def test_every_byte_under_every_scale_is_the_product_rounded_once(columns: int, scale: float) -> None:
    """NaNs too; and scales that are subnormal, or that times a power of two would be infinite."""
    codes = (torch.arange(130 * columns) % 256).to(torch.uint8).view(130, columns)
    scales = torch.full(scale_shape(130, columns), scale)
    exact = torch.tensor(TABLE, dtype=torch.float64)[codes.long()] * scales[0, 0].double()
    for dtype in (torch.float32, torch.bfloat16):
        found = dequantise(codes.view(torch.float8_e4m3fn), scales, dtype=dtype)
        wanted = exact.float().to(dtype)
        assert torch.equal(found.isnan(), wanted.isnan())
        assert torch.equal(found.nan_to_num(1.0), wanted.nan_to_num(1.0))
        assert torch.equal(found.signbit()[~wanted.isnan()], wanted.signbit()[~wanted.isnan()])


@pytest.mark.parametrize("byte", [0x7F, 0xFF])
def test_one_nan_stays_one_nan(byte: int) -> None:
    codes = torch.full((256, 256), 0x80, dtype=torch.uint8)
    codes[130, 7] = byte
    found = dequantise(codes.view(torch.float8_e4m3fn), torch.ones(2, 2))
    assert found.isnan().nonzero().tolist() == [[130, 7]]


def test_a_transposed_weight() -> None:
    """Its rows are not contiguous in memory."""
    weight = random(256, 128)
    values, scales = quantise(weight)
    again, scales_again = quantise(weight.T)
    assert torch.equal(again.view(torch.uint8), values.view(torch.uint8).T)
    assert torch.equal(scales_again, scales.T)
    assert torch.equal(dequantise(values.T, scales.T), dequantise(values, scales).T)


def test_quantise_leaves_its_argument_alone() -> None:
    weight = random(128, 256)
    before = weight.clone()
    quantise(weight)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e5m2, torch.uint8], ids=str)
def test_only_e4m3_has_these_scales(dtype: Any) -> None:
    with pytest.raises(WeightsError, match=rf"block-fp8 is e4m3 .* is {dtype}"):
        dequantise(torch.zeros(2, 2).to(dtype), torch.ones(1, 1))
