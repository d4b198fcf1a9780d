"""Decoding speed from bandwidth, against the reference's figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kimi_backend.hardware import parse_cluster
from kimi_backend.launch import CPUExperts, Launch
from kimi_backend.plan.roofline import efficiency, experts_hit, step_bytes, step_seconds, throughput
from plan_makers import DUAL_SOCKET, K2, THINKING, planned


def launch(groups: int = 1, **other: object) -> Launch:
    settings: dict[str, object] = {"tp": 16, "attention_dp": groups, "ep": groups, "context": 8192, "memory_fraction": 0.9} | other
    return Launch(engine="sglang", nodes=2, gpus_per_node=8, **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("batch", "gigabytes"), [(1, 33), (8, 169), (32, 509), (64, 763), (256, 1022)])
def test_weights_that_a_step_reads(batch: int, gigabytes: float) -> None:
    assert step_bytes(K2, batch) / 1e9 == pytest.approx(gigabytes, rel=0.02)


def test_one_token_meets_eight_experts_and_many_tokens_all() -> None:
    assert experts_hit(K2, 1) == pytest.approx(8)
    assert experts_hit(K2, 10_000) == pytest.approx(384)


@pytest.mark.parametrize(
    ("groups", "batch", "milliseconds", "tokens"),
    [(1, 32, 10.5, 3_100), (16, 32, 6.9, 4_700), (1, 256, 44, 5_800), (16, 256, 15, 16_800)],
)
def test_a_step_on_16_h200(groups: int, batch: int, milliseconds: float, tokens: float) -> None:
    cluster = parse_cluster("16xH200")
    seconds = step_seconds(K2, cluster, launch(groups), batch, 8192)
    assert seconds * 1e3 == pytest.approx(milliseconds, rel=0.02)
    found = throughput(K2, cluster, launch(groups), batch, 8192)
    assert found is not None
    assert found.bound == pytest.approx(tokens, rel=0.02)


def test_one_sequence_on_16_h100_is_bound_to_0_70_ms() -> None:
    seconds = step_seconds(K2, parse_cluster("16xH100"), launch(kv_dtype="fp8"), 1, 8192)
    assert seconds * 1e3 == pytest.approx(0.70, rel=0.02)


def test_the_shares_that_were_published() -> None:
    assert efficiency(1) == pytest.approx((0.03, 0.05))
    assert efficiency(100) == pytest.approx((0.2, 0.4))
    assert efficiency(512) == pytest.approx((0.2, 0.4))
    shares = [efficiency(batch) for batch in (1, 2, 8, 30, 100)]
    assert shares == sorted(shares)


def test_the_published_runs_on_8_b200_lie_inside_what_is_expected() -> None:
    """SGLang's cookbook for K2-Instruct on 8 B200, TP 8 in 4 attention groups: 61 tokens/s alone, 2,383 at the peak of 100."""
    layout = Launch(engine="sglang", nodes=1, gpus_per_node=8, tp=8, attention_dp=4, context=8192, memory_fraction=0.9)
    for batch, published in ((1, 61), (100, 2_383)):
        found = throughput(K2, parse_cluster("8xB200"), layout, batch, 1024)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < published < found.high


def test_a_split_cache_is_read_by_all_ranks_of_its_group() -> None:
    cluster = parse_cluster("16xH200")
    weights = step_bytes(K2, 32) / 16 / 4.8e12
    whole = step_seconds(K2, cluster, launch(), 32, 8192) - weights
    split = step_seconds(K2, cluster, launch(dcp=8), 32, 8192) - weights
    assert whole / split == pytest.approx(8)


def test_a_pipelines_stages_work_on_a_part_of_the_batch_each() -> None:
    """Two stages: while one reads its 30 layers for half of the batch, the other does so for the other half."""
    cluster = parse_cluster("16xH200")
    seconds = step_seconds(K2, cluster, launch(tp=8, pp=2), 64, 8192)
    assert seconds == pytest.approx((step_bytes(K2, 32) / 8 + 32 * 8192 * 70_272) / 4.8e12)


def test_experts_on_cpus_are_read_at_the_speed_of_their_memory() -> None:
    experts = CPUExperts(gpu_experts=0, threads=64, numa_nodes=2, method="RAWINT4")
    layout = Launch(engine="ktransformers", nodes=1, gpus_per_node=2, tp=2, context=8192, memory_fraction=0.9, cpu_experts=experts)
    cluster = parse_cluster("2xRTX4090-48", host=DUAL_SOCKET)
    on_cpu = 60 * 8 * 44_040_192 * (0.5 + 2 / 32) / 400e9
    rest = step_seconds(THINKING, cluster, layout, 1, 8192) - on_cpu
    assert 0 < rest < 0.5 * on_cpu


def test_no_speed_is_guessed_where_the_memorys_bandwidth_is_unknown() -> None:
    plan = planned("2xRTX4090-48", THINKING, host=replace(DUAL_SOCKET, bandwidth=None), engine="ktransformers", context=32_768)
    assert plan.throughput == ()
