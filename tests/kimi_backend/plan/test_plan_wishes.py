"""What is planned when little is asked for, and when something is."""

from __future__ import annotations

from typing import Any

import pytest
from kimi_backend.engines import ENGINES, engine
from kimi_backend.hardware import Host
from kimi_backend.launch import EngineName, Node, Site
from kimi_backend.plan import Plan
from plan_makers import DUAL_SOCKET, THINKING, planned


def test_16_h200_are_one_instance_with_the_cache_in_bf16() -> None:
    plan = planned("16xH200")
    launch = plan.launch
    assert (plan.strategy, len(plan.instances), launch.engine) == ("tensor", 1, "sglang")
    assert (launch.tp, launch.nodes, launch.gpus_per_node, launch.kv_dtype, launch.memory_fraction) == (16, 2, 8, "bf16", 0.9)
    assert plan.tokens == pytest.approx(997_757, rel=0.001)
    assert plan.sessions == 7
    assert not plan.host_bytes


def test_16_h100_take_an_fp8_cache() -> None:
    plan = planned("16xH100")
    assert (plan.strategy, plan.launch.tp, plan.launch.kv_dtype, plan.sessions) == ("tensor", 16, "fp8", 2)


def test_8_b200_are_enough() -> None:
    plan = planned("8xB200")
    assert (plan.launch.tp, plan.launch.nodes, plan.launch.kv_dtype, len(plan.instances)) == (8, 1, "bf16", 1)


def test_16_b200_are_two_instances_of_a_node_each() -> None:
    plan = planned("16xB200")
    assert (len(plan.instances), plan.launch.nodes, plan.launch.tp) == (2, 1, 8)
    assert plan.tokens == 2 * plan.pool.tokens
    assert plan.sessions == 8


def test_throughput_takes_attention_dp_and_whole_experts() -> None:
    launch = planned("16xH200", goal="throughput").launch
    assert (launch.attention_dp, launch.ep, launch.tp, launch.low_latency) == (16, 16, 16, False)


def test_50_long_sessions_take_attention_dp() -> None:
    plan = planned("16xH200", sessions=50, context=131_072)
    assert plan.strategy == "attention-dp"
    assert plan.sessions >= 50
    assert "50 sessions" in " ".join(plan.reasons)


def test_int4_needs_half_of_the_gpus() -> None:
    plan = planned("8xH200", THINKING)
    assert (plan.launch.tp, plan.launch.kv_dtype, plan.launch.thinking) == (8, "bf16", True)
    assert plan.sessions >= 6


def test_experts_on_cpus() -> None:
    plan = planned("2xRTX4090-48", THINKING, host=DUAL_SOCKET, engine="ktransformers", context=65_536)
    experts = plan.launch.cpu_experts
    assert plan.strategy == "cpu-experts"
    assert experts is not None
    assert (experts.method, experts.threads, experts.numa_nodes) == ("RAWINT4", 64, 2)
    on_gpus = experts.gpu_experts / 384 * 594e9 * 0.96
    assert plan.host_bytes == pytest.approx(594e9 * 0.96 - on_gpus, rel=0.02)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_plans_16_h200_and_takes_its_own_launch(name: EngineName) -> None:
    plan = planned("16xH200", engine=name, host=Host(ram=2 * 10**12, cores=96, numa_nodes=2))
    assert plan.launch.engine == name
    site = Site(model_path="/models/k2", host="0.0.0.0")
    invocations = [
        engine(name).invocation(plan.launch, site, Node(rank=str(rank), head="node0.example", is_head=rank == 0))
        for rank in range(plan.launch.nodes)
    ]
    assert engine(name).read(invocations) == plan.launch
    assert engine(name).check(invocations[0].argv) == []


@pytest.mark.parametrize(
    "wish",
    [
        {"strategy": "pipeline"},
        {"strategy": "attention-dp", "attention_dp": 4},
        {"strategy": "tensor", "replicas": 2, "kv_dtype": "fp8"},
        {"kv_dtype": "fp8"},
        {"memory_fraction": 0.8},
        {"context": 32_768, "max_running": 64},
        {"strategy": "disaggregated"},
        {"engine": "vllm", "strategy": "pipeline"},
        {"engine": "vllm", "goal": "throughput"},
    ],
    ids=str,
)
def test_what_is_asked_for_is_kept(wish: dict[str, Any]) -> None:
    plan = planned("16xH200", **wish)
    launch = plan.launch
    asked = {"strategy": plan.strategy, "replicas": len(plan.instances)}
    for name, value in wish.items():
        found = asked[name] if name in asked else getattr(launch, name, value)
        assert found == value, name
    assert launch.low_latency is (wish.get("goal") != "throughput")


def test_prefill_and_decode_are_two_roles() -> None:
    plan = planned("16xB200", strategy="disaggregated")
    assert [i.role for i in plan.instances] == ["prefill", "decode"]
    assert plan.tokens == plan.pool.tokens  # sequences are held by the decoding side


def gpus_used(plan: Plan) -> int:
    return sum(i.nodes * i.gpus_per_node for i in plan.instances)


@pytest.mark.parametrize("gpus", ["8xH200", "16xH200", "32xH200", "16xB200", "4x4xB200", "16xH100"])
def test_no_gpu_is_left_out(gpus: str) -> None:
    plan = planned(gpus)
    assert gpus_used(plan) == plan.cluster.gpus
    assert all(i.tp * i.pp == i.nodes * i.gpus_per_node for i in plan.instances)


def test_expert_parallelism_across_nodes_is_warned_of() -> None:
    assert any("InfiniBand" in line for line in planned("16xH200", sessions=50).warnings)
    assert not any("InfiniBand" in line for line in planned("16xH200").warnings)


def test_a_card_without_fp8_is_warned_of() -> None:
    assert any("does not compute in fp8" in line for line in planned("16xA100").warnings)


def test_reasons_give_the_numbers_of_the_plan() -> None:
    plan = planned("16xH200")
    told = " ".join(plan.reasons)
    assert "65.6 GB of weights" in told
    assert f"{plan.tokens:,} tokens" in told
    assert "7 sessions of 131,072" in told


@pytest.mark.parametrize("gpus", ["16xH200", "16xB200", "16xH100"])
def test_reasons_read_well(gpus: str) -> None:
    for line in (*planned(gpus).reasons, *planned(gpus, sessions=2, goal="throughput").reasons):
        assert line[0].isupper(), line
        assert line.endswith("."), line
        assert " 1 node are " not in f" {line.lower()}"


def test_gpus_and_cpus_keep_their_capitals() -> None:
    plan = planned("2xRTX4090-48", THINKING, host=DUAL_SOCKET, engine="ktransformers", context=65_536)
    assert "CPUs" in plan.reasons[0]
