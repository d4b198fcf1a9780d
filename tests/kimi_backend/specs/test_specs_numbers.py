"""Kimi K2's parameters and bytes, against the published figures and arithmetic by hand."""

from __future__ import annotations

import pytest
from kimi_backend.specs import (
    COMPONENTS,
    SHIPPED,
    Component,
    Format,
    ModelSpec,
    SpecError,
    find_model,
    layer_matrices,
    repository_of,
    shipped_model,
)

LAYERS, MOE_LAYERS, EXPERTS, HIDDEN, WIDTH, VOCABULARY = 61, 60, 384, 7168, 2048, 163_840
EXPERT = 3 * HIDDEN * WIDTH
ATTENTION = 11_010_048 + 18_874_368 + 4_128_768 + 8_388_608 + 58_720_256  # q_a, q_b, kv_a, kv_b, o
K2 = shipped_model("kimi-k2-0905")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_has_the_parameters_of_k2(name: str) -> None:
    model = shipped_model(name)
    assert model.total_parameters == 1_026_408_232_448
    assert model.parameters == {
        "routed experts": 1_014_686_023_680,
        "attention": 6_168_444_928,
        "shared experts": 2_642_411_520,
        "embedding": VOCABULARY * HIDDEN,
        "lm_head": VOCABULARY * HIDDEN,
        "dense MLP": 396_361_728,
        "router": 165_150_720 + 23_040,
        "norms": LAYERS * (2 * HIDDEN + 1536 + 512) + HIDDEN,
    }


def test_the_components_are_those_of_hand_arithmetic() -> None:
    assert K2.parameters["routed experts"] == MOE_LAYERS * EXPERTS * EXPERT
    assert K2.parameters["attention"] == LAYERS * ATTENTION
    assert set(K2.parameters) == set(COMPONENTS) == set(K2.component_bytes)


def test_active_parameters_of_a_token_leave_out_the_embedding() -> None:
    assert K2.active_parameters == pytest.approx(31.69e9, abs=0.005e9)
    assert K2.active_parameters + K2.parameters["embedding"] == pytest.approx(32.86e9, abs=0.005e9)


@pytest.mark.parametrize(
    ("layer", "has", "has_not"), [(0, "dense MLP", "router"), (1, "router", "dense MLP"), (60, "router", "dense MLP")]
)
def test_only_the_first_layer_is_dense(layer: int, has: str, has_not: str) -> None:
    found = {matrix.component for matrix in layer_matrices(K2.architecture, layer)}
    assert has in found
    assert has_not not in found


@pytest.mark.parametrize("name", ["kimi-k2-0711", "kimi-k2-0905"])
def test_the_block_fp8_checkpoint_is_1029_gb(name: str) -> None:
    model = shipped_model(name)
    assert model.weight_format == "fp8-block"
    assert model.checkpoint_bytes == pytest.approx(1_029.17e9, abs=0.005e9)
    assert model.checkpoint_bytes / 2**30 == pytest.approx(958.5, abs=0.05)


def test_the_checkpoint_is_its_fp8_its_bf16_and_its_scales() -> None:
    fp8 = MOE_LAYERS * (EXPERTS + 1) * EXPERT + LAYERS * ATTENTION + 396_361_728
    bf16 = 2 * (2 * VOCABULARY * HIDDEN + MOE_LAYERS * EXPERTS * HIDDEN + K2.parameters["norms"])
    correction_bias = 4 * MOE_LAYERS * EXPERTS
    scales = K2.checkpoint_bytes - fp8 - bf16 - correction_bias
    assert fp8 == pytest.approx(1_023.89e9, abs=0.005e9)
    assert bf16 == pytest.approx(5.03e9, abs=0.005e9)
    assert scales == pytest.approx(0.250e9, abs=0.0005e9)


@pytest.mark.parametrize("name", ["kimi-k2-thinking", "kimi-k2.5"])
def test_native_int4_is_594_gb(name: str) -> None:
    model = shipped_model(name)
    assert model.weight_format == "int4-g32"
    assert model.thinking
    assert model.checkpoint_bytes == pytest.approx(594e9, abs=0.5e9)


def test_in_bf16_it_is_2053_gb() -> None:
    formats: dict[Component, Format] = dict.fromkeys(COMPONENTS, "bf16")
    model = ModelSpec(name="k2", architecture=K2.architecture, formats=formats, thinking=False, unverified={})
    assert model.checkpoint_bytes == pytest.approx(2_053e9, abs=0.5e9)


@pytest.mark.parametrize(("kv", "layer", "token"), [("bf16", 1_152, 70_272), ("fp8", 576, 35_136)])
def test_the_latent_cache_of_a_token(kv: str, layer: int, token: int) -> None:
    assert K2.kv_bytes_per_token_and_layer(kv) == layer  # pyright: ignore[reportArgumentType]
    assert K2.kv_bytes_per_token(kv) == token  # pyright: ignore[reportArgumentType]


def test_a_whole_context_is_8_58_gib() -> None:
    assert 131_072 * K2.kv_bytes_per_token() / 2**30 == pytest.approx(8.58, abs=0.005)


@pytest.mark.parametrize(
    ("name", "repository", "context", "thinking"),
    [
        ("kimi-k2-0711", "moonshotai/Kimi-K2-Instruct", 131_072, False),
        ("kimi-k2-0905", "moonshotai/Kimi-K2-Instruct-0905", 262_144, False),
        ("kimi-k2-thinking", "moonshotai/Kimi-K2-Thinking", 262_144, True),
        ("kimi-k2.5", "moonshotai/Kimi-K2.5", 262_144, True),
    ],
)
def test_what_tells_the_shipped_models_apart(name: str, repository: str, context: int, thinking: bool) -> None:
    model = shipped_model(name)
    assert repository_of(name) == repository
    assert model.architecture.max_position_embeddings == context
    assert model.thinking is thinking


@pytest.mark.parametrize("name", SHIPPED)
def test_what_nobody_checked_is_said(name: str) -> None:
    assert shipped_model(name).unverified


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"no model named 'kimi-k9'.*kimi-k2-0905"):
        find_model("kimi-k9")
    assert repository_of("kimi-k9") is None
