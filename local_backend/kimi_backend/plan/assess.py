"""One candidate, worked out: whether it runs, what it holds, how fast it may be."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines import engine
from ..engines.flags import FlagError
from ..hardware import Cluster
from ..launch import Launch, Node, Site
from ..specs import ModelSpec
from .candidates import Candidate
from .pool import Pool, RankMemory, pool_of, rank_memory
from .rules import breaches
from .words import GB, layout

__all__ = ["HOST_MARGIN", "Assessed", "assess", "host_bytes"]

_ANYWHERE = Site(model_path="model")
HOST_MARGIN = 1.1  # published: 594 GB of int4 weights want 650 GB of memory


@dataclass(frozen=True, slots=True)
class Assessed:
    """A candidate with its memory; one that the engine cannot start has none. `why_not` is empty where it runs."""

    candidate: Candidate
    memory: tuple[RankMemory, ...]
    """Of the instance that holds the sequences; the other side of a disaggregated pair is laid out alike."""
    pool: Pool
    why_not: tuple[str, ...]

    @property
    def launch(self) -> Launch:
        """The instance that holds the sequences."""
        return self.candidate.launch

    @property
    def instances(self) -> int:
        """How many instances hold sequences."""
        return 1 if self.candidate.strategy == "disaggregated" else len(self.candidate.instances)

    @property
    def sessions(self) -> int:
        """Whole sequences of the launch's context that all instances hold at once."""
        return self.pool.sessions(self.launch.context) * self.instances


def assess(model: ModelSpec, cluster: Cluster, candidate: Candidate) -> Assessed:
    """Works a candidate out."""
    launch = candidate.launch
    traits = engine(launch.engine).traits
    if refused := next(filter(None, map(_refused, candidate.instances)), None):
        return Assessed(candidate, (), Pool(0, 1), (refused,))
    memory = rank_memory(model, cluster, launch, traits)
    pool = pool_of(launch, memory)
    short = _short_of_memory(memory, launch) or _short_of_pool(pool, memory, launch)
    return Assessed(
        candidate, memory, pool, (*breaches(model, cluster.gpu, launch, traits), *short, *_short_of_ram(model, cluster, launch))
    )


def host_bytes(model: ModelSpec, launch: Launch) -> int:
    """Bytes of the experts that are not on GPUs."""
    if launch.cpu_experts is None:
        return 0
    count = model.architecture.n_routed_experts
    return model.component_bytes["routed experts"] * (count - launch.cpu_experts.gpu_experts) // count


def _refused(launch: Launch) -> str | None:
    """Why the engine cannot be started so, by its own word."""
    try:
        engine(launch.engine).invocation(launch, _ANYWHERE, Node(rank="0", head="localhost", is_head=True))
    except FlagError as error:
        return str(error)
    return None


def _short_of_memory(memory: tuple[RankMemory, ...], launch: Launch) -> tuple[str, ...]:
    worst = min(memory, key=lambda rank: rank.kv)
    if worst.kv > 0:
        return ()
    inside = f" and {worst.activations / GB:.1f} GB of activations" if worst.activations else ""
    if worst.weights <= worst.card:
        told = f"{launch.memory_fraction:g} of {worst.card / GB:.1f} GB is {worst.budget / GB:.1f} GB"
    else:
        told = f"a card has {worst.card / GB:.1f} GB"
    return (f"{told}, and the weights of a rank are {worst.weights / GB:.1f} GB{inside} ({layout(launch)})",)


def _short_of_pool(pool: Pool, memory: tuple[RankMemory, ...], launch: Launch) -> tuple[str, ...]:
    if pool.tokens_per_group >= launch.context:
        return ()
    worst = min(memory, key=lambda rank: rank.kv / rank.kv_per_token)
    where = f"each of {pool.groups} attention groups" if pool.groups > 1 else "the KV cache"
    return (
        f"{worst.weights / GB:.1f} GB of weights a rank leave {worst.kv / GB:.1f} GB at {launch.memory_fraction:g} of the card: "
        f"{where} holds {pool.tokens_per_group:,} tokens in {launch.kv_dtype}, less than one sequence of {launch.context:,} "
        f"({layout(launch)})",
    )


def _short_of_ram(model: ModelSpec, cluster: Cluster, launch: Launch) -> tuple[str, ...]:
    needed = host_bytes(model, launch) * HOST_MARGIN
    if cluster.host is None or needed <= cluster.host.ram:
        return ()
    return (
        f"experts on the CPUs need {needed / GB:.0f} GB of memory, a tenth for what works beside them, and the node has "
        f"{cluster.host.ram / GB:.0f} GB",
    )
