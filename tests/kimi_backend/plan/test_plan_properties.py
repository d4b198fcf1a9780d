"""What must hold whatever the model and the cluster are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kimi_backend.engines import engine
from kimi_backend.hardware import GPUS, Cluster
from kimi_backend.launch import Launch
from kimi_backend.plan import PlanRefused, Wish, make_plan
from kimi_backend.plan.pool import pool_of, rank_memory
from kimi_backend.specs import ModelSpec, shipped_model
from plan_makers import K2, laid_out

FRACTIONS = st.integers(50, 95).map(lambda hundredths: hundredths / 100)
MODELS = st.sampled_from([K2, shipped_model("kimi-k2-thinking")])
CARDS = st.sampled_from(sorted(GPUS))


@given(
    model=MODELS,
    ranks=st.sampled_from([1, 2, 4, 8, 16]),
    pp=st.integers(1, 4),
    groups=st.sampled_from([1, 2, 4, 8, 16]),
    card=CARDS,
)
@settings(max_examples=40, deadline=None)
def test_all_ranks_together_hold_at_least_the_model(model: ModelSpec, ranks: int, pp: int, groups: int, card: str) -> None:
    assume(ranks % groups == 0)
    ways: dict[str, Any] = {"tp": ranks, "pp": pp, "attention_dp": groups, "ep": ranks if groups > 1 else 1}
    launch = Launch(engine="sglang", nodes=pp, gpus_per_node=ranks, context=1024, memory_fraction=0.9, **ways)
    memory = rank_memory(model, Cluster(gpu=GPUS[card], nodes=pp, gpus_per_node=ranks), launch, engine("sglang").traits)
    assert sum(r.stage.layers for r in memory) == 61
    assert sum(r.weights * ranks for r in memory) >= model.checkpoint_bytes
    for rank in memory:
        assert rank.weights + rank.activations + rank.kv + rank.rest == rank.card


@given(lower=FRACTIONS, upper=FRACTIONS, groups=st.sampled_from([1, 4, 16]))
@settings(max_examples=30, deadline=None)
def test_more_of_the_card_never_holds_fewer_tokens(lower: float, upper: float, groups: int) -> None:
    lower, upper = sorted((lower, upper))
    _, less = laid_out("16xH200", fraction=lower, attention_dp=groups, ep=groups)
    _, more = laid_out("16xH200", fraction=upper, attention_dp=groups, ep=groups)
    assert less.tokens <= more.tokens


@given(memory_mib=st.integers(50_000, 300_000), context=st.sampled_from([8192, 32_768, 131_072]))
@settings(max_examples=10, deadline=None)
def test_more_gpus_never_hold_fewer_sessions(memory_mib: int, context: int) -> None:
    gpu = replace(GPUS["H200"], memory_mib=memory_mib)
    held = [_sessions(Cluster(gpu=gpu, nodes=nodes, gpus_per_node=8), context) for nodes in (1, 2, 4, 8)]
    assert held == sorted(held)


def _sessions(cluster: Cluster, context: int) -> int:
    try:
        return make_plan(K2, cluster, Wish(strategy="tensor", context=context, kv_dtype="bf16", memory_fraction=0.9)).sessions
    except PlanRefused:
        return 0


@given(sessions=st.integers(1, 300), context=st.integers(1024, 262_144))
@settings(max_examples=15, deadline=None)
def test_a_plan_holds_what_was_asked_for_or_is_refused(sessions: int, context: int) -> None:
    cluster = Cluster(gpu=GPUS["H200"], nodes=2, gpus_per_node=8)
    try:
        plan = make_plan(K2, cluster, Wish(sessions=sessions, context=context))
    except PlanRefused:
        # then not even the layout that holds most, with the smaller cache, does
        _, pool = laid_out("16xH200", attention_dp=16, ep=16, kv_dtype="fp8", fraction=0.9)
        assert pool.sessions(context) < sessions
        return
    assert plan.sessions >= sessions
    assert plan.pool.tokens_per_group >= context == plan.launch.context


def test_a_groups_tokens_do_not_depend_on_the_other_replicas() -> None:
    cluster = Cluster(gpu=GPUS["B200"], nodes=1, gpus_per_node=8)
    launch = make_plan(K2, replace(cluster, nodes=4)).launch
    alone = rank_memory(K2, cluster, launch, engine("sglang").traits)
    assert pool_of(launch, alone) == make_plan(K2, cluster).pool
