"""What somebody wants of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..launch import EngineName, KVType, Launch

__all__ = ["STRATEGIES", "Goal", "Strategy", "Wish", "short_name"]

Goal = Literal["latency", "throughput"]
Strategy = Literal["tensor", "attention-dp", "pipeline", "disaggregated", "cpu-experts"]
STRATEGIES: dict[Strategy, str] = {
    "tensor": "tensor parallelism: every rank works on every token, and holds the whole cache",
    "attention-dp": "data-parallel attention with expert parallelism: every group of ranks holds the cache of its own requests",
    "pipeline": "tensor parallelism inside a node, pipeline stages across nodes",
    "disaggregated": "prefill and decode on instances of their own, each with a copy of the weights",
    "cpu-experts": "experts on the CPUs, everything else on the GPUs",
}


def short_name(strategy: Strategy) -> str:
    """What a strategy is called, without what it means."""
    return STRATEGIES[strategy].partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted. None leaves the choice to the planner; anything else is kept, or refused with the numbers."""

    engine: EngineName = "sglang"
    context: int = 131_072
    """Longest sequence, tokens: prompt and answer together."""
    sessions: int | None = None
    """Sequences of that length to hold at once."""
    goal: Goal = "latency"
    strategy: Strategy | None = None
    attention_dp: int | None = None
    """Attention groups of an instance."""
    replicas: int | None = None
    """Instances that the GPUs are divided into."""
    kv_dtype: KVType | None = None
    memory_fraction: float | None = None
    max_running: int | None = None
    gpu_experts: int | None = None
    """Experts a layer that stay on the GPUs, for `cpu-experts`."""

    def admits(self, strategy: Strategy, instances: Sequence[Launch]) -> bool:
        """Whether a layout is one of those that were asked for."""
        return (
            self.strategy in (None, strategy)
            and self.attention_dp in (None, instances[-1].attention_dp)
            and self.replicas in (None, 1 if strategy == "disaggregated" else len(instances))
        )
