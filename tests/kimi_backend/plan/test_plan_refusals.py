"""What cannot fit or run is refused with its numbers, and with what would."""

from __future__ import annotations

import re
from typing import Any

import pytest
from kimi_backend.errors import BackendError
from kimi_backend.hardware import Host
from plan_makers import K2, THINKING, planned, refused


def test_attention_dp_at_085_on_80_gb_cards() -> None:
    """The published recipe's DP16+EP on H800 at 0.85: a budget of 72.7 GB for 76.5 GB of weights."""
    refusal = refused("16xH100", strategy="attention-dp", attention_dp=16, memory_fraction=0.85)
    why = " ".join(refusal.why)
    assert "72.7 GB" in why
    assert "76.5 GB" in why
    assert any("tensor parallelism" in line and "tokens" in line for line in refusal.instead)


def test_what_is_said_to_fit_instead_does() -> None:
    refusal = refused("16xH100", strategy="attention-dp", memory_fraction=0.85)
    line = next(line for line in refusal.instead if line.startswith("another share of the cards"))
    held = int(re.findall(r"([\d,]+) sessions?", line)[0].replace(",", ""))
    assert planned("16xH100", strategy="attention-dp").sessions >= held > 0


@pytest.mark.parametrize("wish", [{"memory_fraction": 0.99}, {"strategy": "disaggregated"}])
def test_what_would_fit_is_what_would_be_planned(wish: dict[str, Any]) -> None:
    """The tokens that are promised are those of the plan that follows from the advice."""
    gpus = "16xH100"
    promised = " ".join(refused(gpus, **wish).instead)
    assert f"{planned(gpus).tokens:,} tokens" in promised


@pytest.mark.parametrize("gpus", ["16xH100", "16xH20-96"])
def test_prefill_and_decode_apart_need_two_copies(gpus: str) -> None:
    refusal = refused(gpus, strategy="disaggregated")
    told = str(refusal)
    assert "whole copy of the weights" in told
    assert "129.9 GB" in told
    assert f"{planned(gpus).cluster.gpu.memory / 1e9:.1f} GB" in told
    assert refusal.instead


@pytest.mark.parametrize("gpus", ["8xH200", "24xH200"])
def test_an_odd_number_of_nodes_cannot_be_halved(gpus: str) -> None:
    assert "cannot be halved" in str(refused(gpus, strategy="disaggregated"))


def test_8_h100_are_too_few() -> None:
    refusal = refused("8xH100")
    assert "129.9 GB" in str(refusal)
    assert "85.5 GB" in str(refusal)
    assert any(line.startswith(("8xH200", "16xH100")) for line in refusal.instead)


def test_a_context_longer_than_the_models_positions() -> None:
    assert "300,000" in str(refused("16xH200", context=300_000))
    assert "262,144" in str(refused("16xH200", context=300_000))


def test_experts_are_not_sliced_thinner_than_a_block_of_scales() -> None:
    """2048 over 32 ranks is 64, and block-fp8 has a scale for 128."""
    refusal = refused("32xH200", strategy="tensor", replicas=1)
    assert re.search(r"32 slices.*blocks of 128.*2048 of the routed experts is 64 a slice", str(refusal))
    assert any("expert parallelism" in line for line in refusal.instead)


def test_int4_is_sliced_in_groups_of_32() -> None:
    assert planned("32xH200", THINKING, strategy="tensor", replicas=1).launch.tp == 32


def test_heads_are_whole() -> None:
    assert "64 attention heads do not divide over 24 ranks" in str(refused("1x24xH200", strategy="tensor"))


@pytest.mark.parametrize("fraction", [0.99, 0.96])
def test_no_engine_takes_nearly_the_whole_card(fraction: float) -> None:
    refusal = refused("16xH200", memory_fraction=fraction)
    assert f"{fraction:g}" in str(refusal)
    assert "0.95" in str(refusal)


@pytest.mark.parametrize(
    "wish",
    [
        {"context": 0},
        {"context": -5},
        {"sessions": 0},
        {"sessions": -1},
        {"replicas": 0},
        {"attention_dp": 0},
        {"attention_dp": 3},
        {"max_running": 0},
        {"memory_fraction": 0.0},
        {"memory_fraction": float("nan")},
        {"memory_fraction": -0.5},
        {"engine": "ktransformers", "gpu_experts": -1},
        {"engine": "ktransformers", "gpu_experts": 385},
        {"gpu_experts": 5},
        {"strategy": "cpu-experts"},
    ],
    ids=str,
)
def test_a_wish_that_means_nothing_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(BackendError):
        planned("16xH200", host=Host(ram=4 * 10**12, cores=96, numa_nodes=2), **wish)


def test_too_many_sessions_are_counted() -> None:
    refusal = refused("16xH200", sessions=500)
    assert "500 were asked for" in str(refusal)
    assert re.search(r"a context of [\d,]+ tokens for 500 sessions", " ".join(refusal.instead))


def test_the_shorter_context_that_is_offered_holds() -> None:
    refusal = refused("16xH200", sessions=500)
    told = re.search(r"a context of ([\d,]+) tokens for 500 sessions", " ".join(refusal.instead))
    assert told
    shorter = int(told[1].replace(",", ""))
    assert planned("16xH200", sessions=500, context=shorter).sessions >= 500


def test_the_shorter_context_that_is_offered_is_the_longest() -> None:
    """The layout that holds most: 16 attention groups of 1.9 million tokens in fp8, 32 sessions in the fullest."""
    told = re.search(r"a context of ([\d,]+) tokens for 500 sessions", " ".join(refused("16xH200", sessions=500).instead))
    assert told
    assert int(told[1].replace(",", "")) == pytest.approx(30_383_792 / 16 / 32, rel=0.03)


def test_ktransformers_asks_for_the_nodes_memory() -> None:
    assert "--ram" in str(refused("8xH200", engine="ktransformers"))


def test_experts_that_the_nodes_memory_does_not_hold() -> None:
    told = str(refused("2xRTX4090-48", THINKING, host=Host(ram=256 * 10**9, cores=32), engine="ktransformers", context=32_768))
    assert "256 GB" in told


def test_an_engine_says_itself_what_it_cannot_start() -> None:
    assert "TensorRT-LLM" in str(refused("16xH200", engine="tensorrt-llm", strategy="disaggregated"))
    assert "vLLM" in str(refused("16xH200", engine="vllm", strategy="disaggregated"))


def test_a_pipeline_needs_several_nodes() -> None:
    assert "one node" in str(refused("8xH200", strategy="pipeline"))


def test_one_reason_is_one_line_and_several_are_a_list() -> None:
    one, several = refused("8xH100"), refused("16xH100", strategy="disaggregated")
    assert str(one).splitlines()[0] == "".join(one.why)
    assert len(several.why) > 1
    assert all(f"\n  - {line}" in str(several) for line in (*several.why, *several.instead))


def test_the_models_name_is_in_what_is_said_of_it() -> None:
    assert K2.name in str(refused("16xH200", context=300_000))
