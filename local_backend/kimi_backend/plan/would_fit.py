"""What would fit where a wish cannot be met: the nearest change of each kind, worked out like any plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..engines import engine
from ..engines.base import Traits
from ..hardware import GPUS, MOST_NODES, Cluster, Host
from ..specs import ModelSpec
from .assess import HOST_MARGIN, Assessed, host_bytes
from .pick import pick
from .refusal import count
from .wish import STRATEGIES, Wish, short_name
from .words import GB, layout

__all__ = ["would_fit"]

_BIGGER = ("H200", "B200")
_NODE = 8
_ANY_HOST = Host(ram=10**15, cores=64)
"""Where the node itself was not described: all experts have room in it, and what they take is told."""


def would_fit(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> tuple[str, ...]:
    """Sentences, each about one change; () where none of them helps."""
    found: dict[str, str] = {}
    for line in _changes(model, cluster, wish, traits):
        found.setdefault(line.partition(": ")[2] or line, line)  # two changes that lead to the same are one
    return tuple(found.values())


def _changes(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[str]:
    for what, changed in _wishes(wish):
        yield from _told(what, model, cluster, changed, traits)
    yield from _shorter(model, cluster, wish, traits)
    yield from _on_cpus(model, cluster, wish)
    for other in _other_clusters(cluster) if not traits.cpu_experts else ():
        if told := list(_told(str(other), model, other, wish, traits)):
            yield from told
            return


def _wishes(wish: Wish) -> Iterator[tuple[str, Wish]]:
    """The wish with one thing less, and with nothing but what it is for."""
    if wish.memory_fraction is not None:
        yield "another share of the cards", replace(wish, memory_fraction=None)
    if wish.kv_dtype is not None:
        yield "another type of the KV cache", replace(wish, kv_dtype=None)
    if wish.attention_dp is not None or wish.replicas is not None:
        yield "other groups or instances", replace(wish, attention_dp=None, replicas=None)
    if wish.strategy is not None:
        for other in STRATEGIES:
            if other != wish.strategy:
                yield short_name(other), replace(wish, strategy=other, attention_dp=None)
    plain = Wish(engine=wish.engine, context=wish.context, sessions=wish.sessions, goal=wish.goal)
    if plain != wish:
        yield "with nothing else asked for", plain


def _told(what: str, model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[str]:
    if found := pick(model, cluster, wish, traits).taken:
        tokens = f"{found.pool.tokens * found.instances:,} tokens of KV cache"
        yield f"{what}: {_laid_out(found)}: {tokens}, {count(found.sessions, 'session')} of {wish.context:,}"


def _shorter(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Iterator[str]:
    """The longest context, in whole thousands, that the wish allows otherwise."""
    sessions = wish.sessions or 1
    tried = pick(model, cluster, replace(wish, context=1024, sessions=None), traits).tried
    fitting = [a for a in tried if not a.why_not]
    if not fitting:
        return
    most = model.architecture.max_position_embeddings
    longest = max(_longest(a, sessions, most) for a in fitting)
    if not 1024 <= longest < wish.context:
        return
    if found := pick(model, cluster, replace(wish, context=longest), traits).taken:
        told = f" for {count(sessions, 'session')}" if wish.sessions else ""
        yield f"a context of {longest:,} tokens{told}: {_laid_out(found)}"


def _on_cpus(model: ModelSpec, cluster: Cluster, wish: Wish) -> Iterator[str]:
    """The same cards with the experts on the CPUs of one node, where only the weights do not fit on the cards."""
    if wish.engine == "ktransformers" or wish.strategy is not None or cluster.nodes > 1 or cluster.gpu.amd:
        return
    described = replace(cluster, host=cluster.host or _ANY_HOST)
    there = Wish(engine="ktransformers", context=wish.context, sessions=wish.sessions, kv_dtype=wish.kv_dtype)
    if found := pick(model, described, there, engine("ktransformers").traits).taken:
        needed = host_bytes(model, found.launch) * HOST_MARGIN
        say = "" if cluster.host else ", said with --ram and --cores"
        yield (
            f"experts on the CPUs (--engine ktransformers): {needed / GB:,.0f} GB of the node's memory{say}; "
            f"{_laid_out(found)}: {found.pool.tokens * found.instances:,} tokens of KV cache"
        )


def _longest(assessed: Assessed, sessions: int, most: int) -> int:
    """The longest of `sessions` equal sequences: they are spread evenly over the groups, and the fullest decides."""
    in_fullest = -(-sessions // (assessed.instances * assessed.pool.groups))  # a division of floats has no room for huge counts
    return min(most, assessed.pool.tokens_per_group // in_fullest) // 1024 * 1024


def _other_clusters(cluster: Cluster) -> Iterator[Cluster]:
    """Some of the cards that are there, more of the same, then larger ones."""
    for per_node in (8, 4, 2):
        if per_node < cluster.gpus_per_node:
            yield replace(cluster, gpus_per_node=per_node)
    for times in (2, 4):
        if times * cluster.nodes <= MOST_NODES:
            yield replace(cluster, nodes=times * cluster.nodes)
    for name, nodes in ((name, nodes) for name in _BIGGER for nodes in (1, 2, 4)):
        bigger = Cluster(gpu=GPUS[name], nodes=nodes, gpus_per_node=_NODE)
        if bigger.gpus * bigger.gpu.memory > cluster.gpus * cluster.gpu.memory:
            yield bigger


def _laid_out(found: Assessed) -> str:
    launch = found.launch
    instances = f"{found.instances} instances of " if found.instances > 1 else ""
    return f"{instances}{layout(launch)} at {launch.memory_fraction:g}, {launch.kv_dtype} KV cache"
