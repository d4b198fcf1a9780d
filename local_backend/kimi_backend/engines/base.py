"""What planning and rendering ask of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..launch import EngineName, Invocation, Launch, Node, Site

__all__ = ["Engine", "LeftOver", "Traits"]

LeftOver = Literal["first", "before last", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts of an engine that decide what fits."""

    title: str
    version: str
    """The version whose flags are known here."""
    image: str
    fraction: float
    """Default share of a card's memory for weights and KV cache."""
    max_fraction: float
    activations_inside: bool
    """Whether activations and graphs come out of that share (vLLM, TensorRT-LLM) or out of the rest (SGLang, KTransformers)."""
    attention_dp: bool
    expert_parallel: bool
    pipeline: bool
    context_parallel: bool
    disaggregation: bool
    cpu_experts: bool
    activation_bytes: int = 0
    """Where they are inside: what they take of a card, for one prefill chunk of the engine's default size."""
    fraction_of_free: bool = False
    """Whether the share is of what is free after the weights are loaded (TensorRT-LLM), not of the whole card."""
    head_sharded_under_dp: bool = True
    """Whether the head stays sliced over all ranks where attention is data-parallel; else each group holds it."""
    wide_requests_per_rank: int | None = None
    """Where whole experts are laid out over the ranks: requests of a rank that its buffers hold, unless told otherwise."""
    layers_left_over: LeftOver = "last"
    """Which pipeline stages have one layer more, where layers do not divide: `get_pp_indices` of SGLang and vLLM, `pp_layers` of
    TensorRT-LLM."""
    health_path: str
    generating_probe: bool
    """Whether `health_path` itself generates a token; else a probe must ask for a completion."""


class Engine(Protocol):
    """An engine: it writes its own commands and reads them back. It starts nothing."""

    name: EngineName
    traits: Traits

    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What one node runs.

        Raises:
            FlagError: the engine has no flag for what is asked.
        """
        ...

    def read(self, invocations: Sequence[Invocation]) -> Launch:
        """The launch that the nodes of one instance, in rank order, would start.

        Raises:
            FlagError: the engine's own parser would refuse a flag, or the nodes do not belong together.
        """
        ...

    def check(self, argv: Sequence[str]) -> list[str]:
        """Each thing that the engine's own parser (its snapshot) would refuse or warn of, with the successor; [] is good."""
        ...
