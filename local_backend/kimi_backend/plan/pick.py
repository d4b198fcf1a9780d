"""Which of the candidates is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..engines.base import Traits
from ..hardware import Cluster
from ..specs import ModelSpec
from .assess import Assessed, assess
from .candidates import candidates, variants
from .roofline import throughput
from .wish import Wish

__all__ = ["Picked", "pick"]

COMFORTABLE = 4
"""Sessions that an instance should hold before it is thought large enough, where nobody says how many are wanted."""
_COMFORTABLE_ON_CPUS = 1
"""CPUs serve few at once: experts on the GPUs are worth more there than room for sequences that would wait."""


@dataclass(frozen=True, slots=True)
class Picked:
    """All that was looked at."""

    taken: Assessed | None
    fitting: tuple[Assessed, ...]
    """The best variant of each candidate that runs, whether or not it holds the sessions that are wanted."""
    tried: tuple[Assessed, ...]
    """Every variant of every candidate."""


def pick(model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits) -> Picked:
    """Works all candidates out and takes the one that the wish's goal prefers, if any holds enough."""
    wanted = candidates(model, cluster, wish, traits)
    tried = [[assess(model, cluster, v) for v in variants(c, cluster, wish, traits)] for c in wanted]
    fitting = tuple(best for each in tried if (best := _best_variant(each, wish)))
    enough = [found for found in fitting if wish.sessions is None or found.sessions >= wish.sessions]
    taken = None
    if enough:
        # neither goal takes more of the card than usual where something fits without it
        enough = [a for a in enough if wish.memory_fraction or a.launch.memory_fraction <= traits.fraction] or enough
        taken = _most_tokens_a_second(model, cluster, enough) if wish.goal == "throughput" else _plainest(enough, wish)
    return Picked(taken, fitting, tuple(a for each in tried for a in each))


def _best_variant(tried: Sequence[Assessed], wish: Wish) -> Assessed | None:
    """The first that holds enough. More of the card than the engine's default is taken only where nothing fits without it."""
    fitting = [a for a in tried if not a.why_not]
    if not fitting:
        return None
    usual = [a for a in fitting if a.launch.memory_fraction == fitting[0].launch.memory_fraction]
    enough = next((a for a in usual if a.sessions >= _target(a, wish)), None)
    return enough or max(fitting if wish.sessions else usual, key=lambda a: a.sessions)


def _target(assessed: Assessed, wish: Wish) -> int:
    if wish.sessions is not None:
        return wish.sessions
    return assessed.instances * (COMFORTABLE if assessed.launch.cpu_experts is None else _COMFORTABLE_ON_CPUS)


def _plainest(enough: Sequence[Assessed], wish: Wish) -> Assessed:
    """What answers one sequence fastest: the plainest strategy, on as few nodes as are comfortable, since every all-reduce waits
    for the slowest link. A coarser cache is not taken before that."""
    plain = [a for a in enough if a.candidate.strategy == enough[0].candidate.strategy]
    comfortable = [a for a in plain if a.sessions >= _target(a, wish)]
    if comfortable:
        return min(comfortable, key=lambda a: (a.launch.kv_dtype != "bf16", a.launch.nodes))
    return max(plain, key=lambda a: a.sessions)


def _most_tokens_a_second(model: ModelSpec, cluster: Cluster, enough: Sequence[Assessed]) -> Assessed:
    def rate(assessed: Assessed) -> float:
        held = assessed.pool.sessions(assessed.launch.context)
        batch = min(held, assessed.launch.max_running or held)
        found = throughput(model, cluster, assessed.launch, batch, assessed.launch.context)
        return (found.low or found.bound) * assessed.instances if found else 0.0

    return max(enough, key=rate)
