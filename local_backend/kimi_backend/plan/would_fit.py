"""What would fit where a wish cannot be met: the nearest change of each kind, worked out like any plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from ..engines.base import Traits
from ..hardware import GPUS, Cluster
from ..specs import ModelSpec
from .assess import Assessed
from .pick import pick
from .refusal import count
from .wish import STRATEGIES, Wish, short_name
from .words import layout

__all__ = ["would_fit"]

_BIGGER = ("H200", "B200")


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
    for other in _other_clusters(cluster) if not traits.cpu_experts else ():
        if told := list(_told(str(other), model, other, wish, traits)):
            yield from told
            return


def _wishes(wish: Wish) -> Iterator[tuple[str, Wish]]:
    """The wish with one thing less, and with nothing but what it is for."""
    if wish.memory_fraction is not None:
        yield "another share of the cards", replace(wish, memory_fraction=None)
    if wish.kv_dtype == "bf16":
        yield "an fp8 KV cache", replace(wish, kv_dtype="fp8")
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
    best = max(fitting, key=lambda a: _longest(a, sessions))
    if 1024 <= _longest(best, sessions) < wish.context:
        told = f" for {count(sessions, 'session')}" if wish.sessions else ""
        yield f"a context of {_longest(best, sessions):,} tokens{told}: {_laid_out(best)}"


def _longest(assessed: Assessed, sessions: int) -> int:
    """The longest of `sessions` equal sequences: they are spread evenly over the groups, and the fullest decides."""
    in_fullest = math.ceil(sessions / (assessed.instances * assessed.pool.groups))
    return assessed.pool.tokens_per_group // in_fullest // 1024 * 1024


def _other_clusters(cluster: Cluster) -> Iterator[Cluster]:
    """More of the same cards, then larger ones."""
    for times in (2, 4):
        yield replace(cluster, nodes=times * cluster.nodes)
    for name, nodes in ((name, nodes) for name in _BIGGER for nodes in (1, 2, 4)):
        bigger = Cluster(gpu=GPUS[name], nodes=nodes, gpus_per_node=8)
        if bigger.gpus * bigger.gpu.memory > cluster.gpus * cluster.gpu.memory:
            yield bigger


def _laid_out(found: Assessed) -> str:
    launch = found.launch
    instances = f"{found.instances} instances of " if found.instances > 1 else ""
    return f"{instances}{layout(launch)} at {launch.memory_fraction:g}, {launch.kv_dtype} KV cache"
