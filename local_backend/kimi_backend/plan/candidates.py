"""Every way to lay a model out over a cluster that is worth looking at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import floor

from ..engines.base import Traits
from ..hardware import Cluster
from ..launch import CPUExperts, CPUMethod, KVType, Launch
from ..specs import Format, ModelSpec
from .memory import stages, weight_parts
from .wish import Strategy, Wish

__all__ = ["LEAST_REST", "Candidate", "candidates", "tight_fraction", "variants"]

LEAST_REST = 6.8e9
_MAY_LEAVE_NODES = 4
"""Nodes of an instance up to which other nodes may stay idle: two of three nodes hold more than three instances of one each."""
_METHODS: dict[Format, CPUMethod] = {"int4-g32": "RAWINT4", "fp8-block": "FP8", "bf16": "BF16"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Equal instances, as many as the cluster has nodes for; or a prefill and a decode side."""

    strategy: Strategy
    instances: tuple[Launch, ...]

    @property
    def launch(self) -> Launch:
        """The one that holds the sequences while they are answered."""
        return self.instances[-1]


def candidates(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[Candidate]:
    """Those that the wish admits, in the order in which a planner for latency would take them: plain and small first."""
    return (c for c in _all(model, cluster, wish, traits) if wish.admits(c.strategy, c.instances))


def tight_fraction(cluster: Cluster, traits: Traits) -> float:
    """The most of a card that is ever taken unasked, in hundredths.

    The rest holds the CUDA context, NCCL, graphs and, for most engines, activations: the highest published share for K2 on 80 GB
    cards is 0.92, which leaves 6.8 GB.
    """
    return max(traits.fraction, min(traits.max_fraction, floor(100 * (1 - LEAST_REST / cluster.gpu.memory)) / 100))


def _all(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[Candidate]:
    if traits.cpu_experts:
        yield from _cpu_experts(model, cluster, wish, traits)
        return
    sizes = [n for n in range(1, cluster.nodes + 1) if cluster.nodes % n == 0 or n <= _MAY_LEAVE_NODES]
    for nodes in sizes:
        yield Candidate("tensor", _replicas(_base(cluster, wish, traits, nodes, model), cluster))
    for nodes in sizes:
        yield from _attention_dp(_base(cluster, wish, traits, nodes, model), cluster, wish, traits, model)
    for nodes in sizes:
        if 1 < nodes <= model.architecture.num_hidden_layers:
            base = _base(cluster, wish, traits, nodes, model)
            yield Candidate("pipeline", _replicas(replace(base, tp=cluster.gpus_per_node, pp=nodes), cluster))
    if cluster.nodes % 2 == 0 and wish.strategy == "disaggregated":
        yield from _disaggregated(model, cluster, wish, traits)


def variants(candidate: Candidate, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[Candidate]:
    """The same layout with each admissible cache type and context parallelism, then with more of the card's memory."""
    fractions = (wish.memory_fraction,) if wish.memory_fraction is not None else (traits.fraction, tight_fraction(cluster, traits))
    types: tuple[KVType, ...] = (wish.kv_dtype,) if wish.kv_dtype is not None else ("bf16", "fp8")
    if not cluster.gpu.fp8 and wish.kv_dtype is None:
        types = ("bf16",)
    launch = candidate.launch
    group = launch.tp // launch.attention_dp
    splits = (1, min(group, launch.gpus_per_node)) if traits.context_parallel and group > 1 else (1,)
    for fraction in fractions:
        for dcp in splits:
            for kv in types:
                yield Candidate(
                    candidate.strategy,
                    tuple(replace(i, memory_fraction=fraction, kv_dtype=kv, dcp=dcp) for i in candidate.instances),
                )


def _base(cluster: Cluster, wish: Wish, traits: Traits, nodes: int, model: ModelSpec) -> Launch:
    return Launch(
        engine=wish.engine,
        nodes=nodes,
        gpus_per_node=cluster.gpus_per_node,
        tp=nodes * cluster.gpus_per_node,
        context=wish.context,
        memory_fraction=wish.memory_fraction or traits.fraction,
        kv_dtype=wish.kv_dtype or "bf16",
        max_running=wish.max_running,
        thinking=model.thinking,
        low_latency=wish.goal == "latency",
    )


def _replicas(launch: Launch, cluster: Cluster) -> tuple[Launch, ...]:
    return (launch,) * (cluster.nodes // launch.nodes)


def _attention_dp(base: Launch, cluster: Cluster, wish: Wish, traits: Traits, model: ModelSpec) -> Iterator[Candidate]:
    """All group counts: many groups hold most tokens; fewer leave more memory, and room for longer sequences, to each."""
    heads = model.architecture.num_attention_heads
    for groups in range(base.tp, 1, -1):
        if base.tp % groups == 0 and (groups == wish.attention_dp or heads % (base.tp // groups) == 0):
            yield Candidate("attention-dp", _replicas(_wide(base, groups, traits), cluster))


def _wide(base: Launch, groups: int, traits: Traits) -> Launch:
    """Attention in groups, whole experts on ranks; with as many requests as the buffers between the ranks have room for."""
    room = traits.wide_requests_per_rank
    most = base.max_running or (room and room * base.tp)
    return replace(base, attention_dp=groups, ep=base.tp, max_running=most)


def _disaggregated(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[Candidate]:
    half = _base(cluster, wish, traits, cluster.nodes // 2, model)
    for layout in (half, _wide(half, half.tp, traits)):
        yield Candidate("disaggregated", (replace(layout, role="prefill"), replace(layout, role="decode")))


def _cpu_experts(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[Candidate]:
    host = cluster.host
    if host is None:
        return
    base = _base(cluster, wish, traits, 1, model)

    def with_experts(on_gpu: int) -> Launch:
        experts = CPUExperts(
            gpu_experts=on_gpu, threads=host.cores, numa_nodes=host.numa_nodes, method=_METHODS[model.weight_format]
        )
        return replace(base, cpu_experts=experts)

    if wish.gpu_experts is not None:
        yield Candidate("cpu-experts", _replicas(with_experts(wish.gpu_experts), cluster))
        return
    for sessions in dict.fromkeys((wish.sessions or 1, 1)):
        on_gpu = _most_experts(model, cluster, with_experts, sessions * wish.context, traits)
        yield Candidate("cpu-experts", _replicas(with_experts(on_gpu), cluster))


def _most_experts(model: ModelSpec, cluster: Cluster, with_experts: Callable[[int], Launch], tokens: int, traits: Traits) -> int:
    """How many experts a layer fit on the GPUs beside a cache of so many tokens: what a rank holds grows evenly with them."""
    count = model.architecture.n_routed_experts
    (stage,) = stages(model.architecture.num_hidden_layers, 1, traits.layers_left_over)
    none, all_ = (sum(p.bytes for p in weight_parts(model, with_experts(n), stage, traits)) for n in (0, count))
    launch = with_experts(0)
    room = launch.memory_fraction * cluster.gpu.memory - none - tokens * model.kv_bytes_per_token(launch.kv_dtype)
    return max(0, min(count, int(room * count / (all_ - none))))
