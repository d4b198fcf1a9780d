"""What the cards decide: layouts whose kernels do not run on them are neither chosen nor advised."""

from __future__ import annotations

import itertools
import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from kimi_backend.engines import ENGINES, engine
from kimi_backend.hardware import GPUS, MOST_NODES, Cluster, HardwareError, Host, parse_cluster
from kimi_backend.launch import EngineName, Node, Site
from kimi_backend.plan import Goal, PlanRefused, Wish, make_plan
from kimi_backend.specs import shipped_model
from plan_makers import DUAL_SOCKET, K2, THINKING, planned, refused

WITHOUT_DEEPEP = ["16xA100", "32xL40S", "16xRTXPRO6000", "8xMI300X", "64xRTX4090"]


@pytest.mark.parametrize("gpus", WITHOUT_DEEPEP)
def test_sglang_lays_no_whole_experts_out_where_deepep_does_not_run(gpus: str) -> None:
    """SGLang's ep_moe layer asserts DeepGEMM, which is for SM90 and newer; DeepEP wants peer access between a node's cards."""
    assert planned(gpus, goal="throughput").launch.attention_dp == 1
    assert "DeepEP" in str(refused(gpus, strategy="attention-dp"))


@pytest.mark.parametrize("gpus", ["16xH100", "16xH20-96", "8xB200", "16xMINE:143771:4.8"])
def test_hopper_and_newer_take_it(gpus: str) -> None:
    assert planned(gpus, strategy="attention-dp", context=8192).launch.attention_dp > 1


def test_vllm_needs_no_deepep() -> None:
    assert planned("8xMI300X", engine="vllm", strategy="attention-dp").launch.attention_dp > 1


@pytest.mark.parametrize("name", ["sglang", "vllm"])
def test_cards_without_fp8_get_no_fp8_cache_unasked(name: EngineName) -> None:
    """vLLM: "FP8 KV cache is not supported by the Triton MLA backend ... requires SM89+"; an A100 is SM80."""
    assert planned("16xA100", engine=name).launch.kv_dtype == "bf16"
    assert planned("16xH100", engine=name).launch.kv_dtype == "fp8"


def test_an_fp8_cache_on_an_a100_is_refused_by_vllm_and_said_to_be_unverified_elsewhere() -> None:
    assert "A100-80, which does not compute in fp8" in str(refused("16xA100", engine="vllm", kv_dtype="fp8", context=8192))
    assert any("fp8 KV cache" in line for line in planned("16xA100", kv_dtype="fp8").warnings)


def test_attention_is_not_sliced_thinner_than_a_block_of_scales() -> None:
    """Of 64 heads with 192 columns each, one on a rank is a block and a half."""
    told = str(refused("128xH200", attention_dp=2, replicas=1))
    assert "12288 of q_b_proj is 192 a rank" in told
    assert planned("128xH200", attention_dp=4, replicas=1).launch.tp == 128


def test_tensorrt_llm_runs_on_no_amd() -> None:
    assert "AMD" in str(refused("8xMI300X", engine="tensorrt-llm"))


def test_amds_cards_are_said_to_need_another_image() -> None:
    assert any("ROCm image" in line for line in planned("8xMI300X").warnings)
    assert not any("ROCm" in line for line in planned("8xH200").warnings)


@pytest.mark.parametrize("context", [300_000, 10**11])
def test_a_shorter_context_that_is_offered_is_one_that_the_model_takes(context: int) -> None:
    told = re.search(r"a context of ([\d,]+) tokens: (.*)", "\n".join(refused("16xH200", context=context).instead))
    assert told
    assert told[1] == "262,144"
    launch = planned("16xH200", context=262_144).launch
    assert told[2].startswith(f"TP {launch.tp} at {launch.memory_fraction:g}, {launch.kv_dtype}")


def test_fewer_of_the_cards_that_are_there_come_first() -> None:
    """64 heads do not divide over 10 ranks, and 4 of the 5 cards of each node are enough."""
    assert refused("10xB200").instead[0].startswith("8xB200 on 2 nodes: TP 8")
    assert refused("1x10xB200").instead[0].startswith("8xB200: TP 8")


def test_experts_on_the_cpus_are_offered_for_few_cards() -> None:
    (line,) = [line for line in refused("2xRTX4090-48", THINKING).instead if "ktransformers" in line]
    needed = int(re.findall(r"([\d,]+) GB", line)[0].replace(",", ""))
    assert needed == pytest.approx(571 * 1.1, rel=0.12)  # 571 GB of routed experts in int4, a tenth more, some on the GPUs
    host = Host(ram=needed * 10**9 + 10**9, cores=64)
    assert planned("2xRTX4090-48", THINKING, engine="ktransformers", host=host).strategy == "cpu-experts"


def test_experts_on_gpus_are_not_given_up_for_sessions_that_cpus_cannot_serve() -> None:
    """Left to itself it took 0 experts and an fp8 cache of 940,651 tokens."""
    launch = planned("2xRTX4090-48", THINKING, engine="ktransformers", host=replace(DUAL_SOCKET, ram=10**12)).launch
    assert launch.kv_dtype == "bf16"
    assert launch.cpu_experts is not None
    assert launch.cpu_experts.gpu_experts >= 19


def test_another_engine_is_named_for_prefill_and_decode_apart() -> None:
    refusal = refused("16xH200", engine="tensorrt-llm", strategy="disaggregated")
    assert refusal.why == ("TensorRT-LLM is not started with prefill and decode on instances of their own here; SGLang is",)
    assert any(line.startswith("tensor parallelism: TP 16") for line in refusal.instead)


def test_what_is_compared_is_what_the_engine_computes_at_once() -> None:
    """16 groups hold 13,152 sessions of 1,024 tokens and compute 2,048 of them: the speed is of those."""
    plan = planned("16xH200", context=1024, goal="throughput")
    assert plan.launch.max_running is not None
    assert max(row.batch for row in plan.throughput) <= plan.launch.max_running
    few = planned("16xB200", context=1024, goal="throughput", max_running=16)
    # 16 at a time do not fill 16 ranks across two nodes; two instances compute 16 each
    assert (len(few.instances), few.launch.nodes) == (2, 1)


def test_throughput_takes_no_more_of_the_card_than_usual_where_something_fits_without() -> None:
    """16 groups hold 32,768 tokens each only above 0.9 of a card."""
    launch = planned("16xH100", context=32_768, goal="throughput").launch
    assert (launch.memory_fraction, launch.attention_dp) == (0.9, 8)


def test_experts_that_are_not_on_the_gpus_are_no_part_of_a_rank() -> None:
    plan = planned("2xRTX4090-48", THINKING, engine="ktransformers", host=replace(DUAL_SOCKET, ram=10**12), gpu_experts=0)
    assert "routed experts" not in {part.name for part in plan.memory[0].parts}


@pytest.mark.parametrize(
    "wish",
    [
        *({"context": odd} for odd in (1.5, True, "128k", None, 10**12)),
        *({"sessions": odd} for odd in (math.nan, math.inf, 2.0, 10**30)),
        *({name: "fp4"} for name in ("kv_dtype", "goal", "strategy")),
        {"max_running": 10**30},
        {"memory_fraction": "0.9"},
        {"gpu_experts": "5", "engine": "ktransformers"},
    ],
    ids=str,
)
def test_what_types_forbid_is_refused_by_name(wish: dict[str, Any]) -> None:
    assert f"{next(iter(wish))} is " in str(refused("16xH200", host=DUAL_SOCKET, **wish))


def test_one_sequence_an_instance_is_not_called_one_in_all() -> None:
    assert any("One whole sequence fits in an instance" in line for line in planned("24xH200", replicas=3).warnings)
    assert any("One whole sequence fits and" in line for line in planned("8xH200").warnings)


def test_a_node_may_stay_idle_where_the_others_hold_more_so() -> None:
    """Two of three nodes hold 7 sequences; three instances of a node each hold one each."""
    plan = planned("24xH200")
    assert (plan.launch.nodes, len(plan.instances), plan.sessions) == (2, 1, 7)
    assert any("1 node of 3 stays idle" in line for line in plan.warnings)
    assert planned("24xH200", replicas=3).sessions == 3
    assert not any("idle" in line for line in planned("16xH200").warnings)


def test_a_vision_tower_of_ones_own_checkpoint_is_said_not_to_be_counted() -> None:
    seeing = replace(THINKING, vision=True, unverified={})
    assert any("vision tower" in line for line in make_plan(seeing, parse_cluster("8xH200")).warnings)
    assert any("vision tower" in line for line in planned("8xH200", shipped_model("kimi-k2.5")).warnings)


@pytest.mark.parametrize(("nodes", "per_node"), [(MOST_NODES, 72)])
@pytest.mark.drill
def test_the_largest_clusters_are_answered_in_seconds(nodes: int, per_node: int) -> None:
    began = time.monotonic()
    for card in ("H200", "L20"):
        try:
            make_plan(K2, Cluster(gpu=GPUS[card], nodes=nodes, gpus_per_node=per_node))
        except PlanRefused as refusal:
            assert refusal.why
    assert time.monotonic() - began < 40


@pytest.mark.parametrize(("nodes", "per_node"), [(10**9, 8), (1, 10**9), (0, 8), (1, 0), (-1, -8)])
def test_no_plan_is_begun_for_clusters_that_nobody_has(nodes: int, per_node: int) -> None:
    with pytest.raises(HardwareError, match=str(nodes)):
        Cluster(gpu=GPUS["H200"], nodes=nodes, gpus_per_node=per_node)


GRID = ["8xH200", "16xH200", "24xH200", "4x4xH200", "16xH100", "16xA100", "8xB200", "64xB200", "8xMI300X", "32xRTXPRO6000"]


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "name", "goal"), list(itertools.product(GRID, ENGINES, ("latency", "throughput"))))
def test_each_plan_is_one_that_its_engine_is_told(gpus: str, name: EngineName, goal: Goal) -> None:
    """Whatever is planned is written by the engine for each node, and its own parser's table has nothing against it."""
    cluster = parse_cluster(gpus, host=Host(ram=4 * 10**12, cores=96, numa_nodes=2))
    for model, context in itertools.product((K2, THINKING), (8192, 131_072)):
        try:
            plan = make_plan(model, cluster, Wish(engine=name, goal=goal, context=context))
        except PlanRefused as refusal:
            assert re.search(r"\d|No reasoning parser", str(refusal))
            continue
        for launch in plan.instances:
            nodes = [Node(rank=str(rank), head="10.0.0.1", is_head=rank == 0) for rank in range(launch.nodes)]
            made = [engine(name).invocation(launch, Site(model_path="/m"), node) for node in nodes]
            assert engine(name).check(made[0].argv) == []
            assert engine(name).read(made) == launch
