"""Plans and launches that several tests ask for."""

from __future__ import annotations

from typing import Any

from kimi_backend.engines import engine
from kimi_backend.hardware import Host, parse_cluster
from kimi_backend.launch import EngineName, Launch
from kimi_backend.plan import Plan, PlanRefused, Pool, RankMemory, Wish, make_plan
from kimi_backend.plan.pool import pool_of, rank_memory
from kimi_backend.specs import ModelSpec, shipped_model

K2 = shipped_model("kimi-k2-0905")
THINKING = shipped_model("kimi-k2-thinking")
DUAL_SOCKET = Host(ram=768 * 10**9, cores=64, numa_nodes=2, bandwidth=400e9)


def planned(gpus: str, model: ModelSpec = K2, *, host: Host | None = None, **wish: Any) -> Plan:
    """The plan for a cluster, written as people write it."""
    return make_plan(model, parse_cluster(gpus, host=host), Wish(**wish))


def refused(gpus: str, model: ModelSpec = K2, *, host: Host | None = None, **wish: Any) -> PlanRefused:
    """The refusal of what must not be planned."""
    try:
        plan = planned(gpus, model, host=host, **wish)
    except PlanRefused as refusal:
        return refusal
    raise AssertionError(f"this was planned: {plan.launch}")


def laid_out(
    gpus: str, model: ModelSpec = K2, *, name: EngineName = "sglang", fraction: float = 0.9, **launch: Any
) -> tuple[tuple[RankMemory, ...], Pool]:
    """The memory of a layout that nobody had to choose: TP over the whole cluster unless said."""
    cluster = parse_cluster(gpus)
    settings: dict[str, Any] = {"tp": cluster.gpus, "context": 131_072, "memory_fraction": fraction} | launch
    made = Launch(engine=name, nodes=cluster.nodes, gpus_per_node=cluster.gpus_per_node, **settings)
    memory = rank_memory(model, cluster, made, engine(name).traits)
    return memory, pool_of(made, memory)
