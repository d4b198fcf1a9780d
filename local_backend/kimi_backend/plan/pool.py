"""The memory of an instance's ranks, and how many tokens its KV cache holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..engines.base import Traits
from ..hardware import Cluster
from ..launch import Launch
from ..specs import ModelSpec
from .memory import Part, Stage, stages, weight_parts

__all__ = ["Pool", "RankMemory", "pool_of", "rank_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMemory:
    """What stands on the card of each rank of one pipeline stage. All in bytes."""

    stage: Stage
    ranks: int
    card: int
    parts: tuple[Part, ...]
    activations: int
    """Of the engine's share, where the engine takes them out of it."""
    kv: int
    """Left for the KV cache; negative: this much is missing."""
    rest: int
    """Outside the engine's share: CUDA context, NCCL, and graphs and activations where those are not inside."""
    kv_per_token: int
    """Of this stage's layers, for one token, on each rank that holds it."""

    @property
    def weights(self) -> int:
        """All parts."""
        return sum(part.bytes for part in self.parts)

    @property
    def budget(self) -> int:
        """The engine's share of the card."""
        return self.card - self.rest


@dataclass(frozen=True, slots=True)
class Pool:
    """The KV cache of one instance, in tokens."""

    tokens_per_group: int
    """Tokens that one attention group holds: no sequence can be longer."""
    groups: int

    @property
    def tokens(self) -> int:
        """Tokens of all groups."""
        return self.tokens_per_group * self.groups

    def sessions(self, context: int) -> int:
        """Whole sequences of `context` tokens that are held at once; none is spread over two groups."""
        return self.tokens_per_group // context * self.groups


def rank_memory(model: ModelSpec, cluster: Cluster, launch: Launch, traits: Traits) -> tuple[RankMemory, ...]:
    """A rank of each pipeline stage."""
    split = stages(model.architecture.num_hidden_layers, launch.pp, traits.layers_left_over)
    return tuple(_rank(model, cluster.gpu.memory, launch, traits, stage) for stage in split)


def pool_of(launch: Launch, memory: Iterable[RankMemory]) -> Pool:
    """The pool that the fullest stage leaves. Ranks of a context-parallel group hold other tokens of the same sequences each."""
    tokens = min(max(0, rank.kv) // rank.kv_per_token for rank in memory)
    return Pool(tokens * launch.dcp, launch.attention_dp)


def _rank(model: ModelSpec, card: int, launch: Launch, traits: Traits, stage: Stage) -> RankMemory:
    parts = weight_parts(model, launch, stage, traits)
    weights = sum(part.bytes for part in parts)
    activations = traits.activation_bytes if traits.activations_inside else 0
    if traits.fraction_of_free:
        kv = int(launch.memory_fraction * (card - weights))
        rest = card - weights - kv
    else:
        kv = int(launch.memory_fraction * card) - weights - activations
        rest = card - int(launch.memory_fraction * card)
    return RankMemory(
        stage=stage,
        ranks=launch.tp,
        card=card,
        parts=parts,
        activations=activations,
        kv=kv,
        rest=rest,
        kv_per_token=stage.layers * model.kv_bytes_per_token_and_layer(launch.kv_dtype),
    )
