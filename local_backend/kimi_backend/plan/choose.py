"""The layout to take, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from ..engines.base import Traits
from ..hardware import Cluster
from ..launch import KVType
from ..specs import ModelSpec
from .assess import Assessed
from .pick import pick
from .refusal import PlanRefused, count
from .wish import STRATEGIES, Goal, Wish
from .would_fit import would_fit

__all__ = ["choose"]

_ENDLESS = 10**12


def choose(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> tuple[Assessed, tuple[Assessed, ...]]:
    """The layout to take, and for comparison the best one of each other strategy and other divisions of the plain one.

    Raises:
        PlanRefused: none fits; with the numbers of the nearest, and what would fit.
    """
    if senseless := tuple(_senseless(model, wish, traits)):
        raise PlanRefused(senseless)
    if wish.strategy == "disaggregated" and not traits.disaggregation:
        told = f"{traits.title} is not started with prefill and decode on instances of their own here; SGLang is"
        raise PlanRefused((told,), would_fit(model, cluster, wish, traits))
    picked = pick(model, cluster, wish, traits)
    if not picked.tried:
        raise PlanRefused(_no_candidate(cluster, wish, traits))
    if picked.taken is None:
        raise PlanRefused(_why(picked.fitting or picked.tried, wish), would_fit(model, cluster, wish, traits))
    return picked.taken, tuple(_others(picked.fitting, picked.taken))


def _senseless(model: ModelSpec, wish: Wish, traits: Traits) -> Iterator[str]:
    """Numbers and settings that no cluster could meet."""
    least = {"context": 1, "sessions": 1, "attention_dp": 1, "replicas": 1, "max_running": 1, "gpu_experts": 0}
    for name, smallest in least.items():
        value: object = getattr(wish, name)
        whole = value if isinstance(value, int) and not isinstance(value, bool) else -1  # a True is an int, and no count
        if (value is not None or name == "context") and not smallest <= whole < _ENDLESS:
            yield f"{name} is {value!r}, and must be a whole number, {smallest} or more and less than {_ENDLESS:,}"
    share: object = getattr(wish, "memory_fraction")  # noqa: B009 - what it is in truth, whatever its type says
    if share is not None and not isinstance(share, int | float):
        yield f"memory_fraction is {share!r}, and must be a number"
    named = {"goal": get_args(Goal), "kv_dtype": (None, *get_args(KVType)), "strategy": (None, *STRATEGIES)}
    for name, known in named.items():
        if getattr(wish, name) not in known:
            yield f"{name} is {getattr(wish, name)!r}, and must be one of {', '.join(filter(None, known))}"
    experts = model.architecture.n_routed_experts
    if isinstance(wish.gpu_experts, int) and wish.gpu_experts > experts:
        yield f"{wish.gpu_experts} experts a layer cannot stay on the GPUs: the model has {experts}"
    if wish.gpu_experts is not None and not traits.cpu_experts:
        yield f"{traits.title} keeps all experts on the GPUs; experts on CPUs are for the engine ktransformers"
    if wish.strategy == "cpu-experts" and not traits.cpu_experts:
        yield f"{traits.title} does not compute experts on CPUs; the engine ktransformers does"


def _others(fitting: Sequence[Assessed], taken: Assessed) -> Iterator[Assessed]:
    seen = {(taken.candidate.strategy, taken.instances)}
    for found in sorted(fitting, key=lambda a: -a.sessions):
        kind = (found.candidate.strategy, found.instances)
        if kind not in seen and (found.candidate.strategy == "tensor" or found.candidate.strategy not in {s for s, _ in seen}):
            seen.add(kind)
            yield found


def _why(tried: Sequence[Assessed], wish: Wish) -> tuple[str, ...]:
    """Of what was asked for in full, and of what came nearest: that holds most, or misses least."""
    laid_out = [a for a in tried if a.memory] or list(tried)
    nearest = max(laid_out, key=lambda a: (a.sessions, a.pool.tokens, min((r.kv for r in a.memory), default=0)))
    if not nearest.why_not:
        told = count(nearest.sessions, "session")
        tokens = f"{nearest.pool.tokens * nearest.instances:,} tokens of KV cache in {nearest.launch.kv_dtype}"
        return (f"{told} of {wish.context:,} tokens fit at most ({tokens}), and {wish.sessions:,} were asked for",)
    if nearest.launch.cpu_experts is not None:
        return nearest.why_not
    widest = max(a.launch.nodes for a in laid_out)
    plainest = next(a for a in laid_out if a.launch.nodes == widest)
    found = tuple(dict.fromkeys((*plainest.why_not, *nearest.why_not)))
    if nearest.candidate.strategy != "disaggregated":
        return found
    return ("prefill and decode each hold a whole copy of the weights, so each side has half of the GPUs", *found)


def _no_candidate(cluster: Cluster, wish: Wish, traits: Traits) -> tuple[str, ...]:
    if traits.cpu_experts and cluster.host is None:
        return (
            f"{traits.title} computes experts on the CPUs: say the node's memory and cores (--ram, --cores), or read them live",
        )
    if wish.strategy == "disaggregated" and cluster.nodes % 2:
        return (f"prefill and decode take one half of the nodes each, and {count(cluster.nodes, 'node')} cannot be halved",)
    if wish.strategy == "pipeline" and cluster.nodes == 1:
        return ("pipeline stages stand on nodes of their own, and there is one node",)
    asked = {"layout": wish.strategy, "attention groups": wish.attention_dp, "replicas": wish.replicas}
    told = ", ".join(f"{what} {value}" for what, value in asked.items() if value is not None)
    return (f"{traits.title} {traits.version} has no way to lay {cluster} out as {told}",)
