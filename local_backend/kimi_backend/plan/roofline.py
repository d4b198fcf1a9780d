"""Decoding speed from memory bandwidth: what is read for one step of a batch, and how near engines come to it.

A lower bound on time: every byte is read once, evenly over all cards, and nothing waits. Real engines reach a share of it, which is
small at one sequence, where kernels and all-reduces between them are most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from ..hardware import Cluster
from ..launch import Launch
from ..specs import ModelSpec

__all__ = ["Throughput", "efficiency", "experts_hit", "step_bytes", "step_seconds", "throughput"]

# Published for K2-Instruct on 8 B200 (SGLang cookbook): 61 tokens/s alone is 3 % of the bound, 100 at once reach 20 to 40 %.
_ALONE, _MANY, _MANY_AT = (0.03, 0.05), (0.2, 0.4), 100


@dataclass(frozen=True, slots=True)
class Throughput:
    """Decoding of `batch` sequences at once, each `context` tokens long."""

    batch: int
    context: int
    bound: float
    """Tokens a second of the whole batch if bandwidth were all."""
    low: float | None
    high: float | None
    """What engines reach of it, tokens a second; None where nobody published enough to say (experts on CPUs)."""


def experts_hit(model: ModelSpec, batch: float) -> float:
    """Experts of a layer that at least one of `batch` tokens is sent to, when all are equally likely."""
    arch = model.architecture
    return arch.n_routed_experts * (1 - (1 - arch.num_experts_per_tok / arch.n_routed_experts) ** batch)


def step_bytes(model: ModelSpec, batch: float) -> float:
    """Bytes of weights that one decoding step of `batch` sequences reads."""
    sizes, arch = model.component_bytes, model.architecture
    always = sum(sizes[c] for c in ("attention", "shared experts", "dense MLP", "lm_head"))
    if arch.tie_word_embeddings:
        always += sizes["embedding"]
    return always + sizes["routed experts"] * experts_hit(model, batch) / arch.n_routed_experts


def step_seconds(model: ModelSpec, cluster: Cluster, launch: Launch, batch: int, context: int) -> float:
    """The bound on one step: `batch` new tokens, with `context` tokens of cache each.

    Under plain tensor parallelism each rank reads the whole latent cache; attention groups and context-parallel ranks share it.
    A pipeline has a micro-batch in each stage, so that a rank reads its layers once for each of them.
    """
    if launch.cpu_experts is not None:
        return _cpu_step_seconds(model, cluster, launch, batch, context)
    micro = max(1.0, batch / launch.pp)
    readers = min(launch.attention_dp, max(1.0, micro)) * launch.dcp
    cache = micro * context * model.kv_bytes_per_token(launch.kv_dtype) / readers
    return (step_bytes(model, micro) / launch.tp + cache) / cluster.gpu.bandwidth


def _cpu_step_seconds(model: ModelSpec, cluster: Cluster, launch: Launch, batch: int, context: int) -> float:
    """Experts that are not on a GPU are read from the nodes' own memory, before or after the rest and not beside it."""
    assert launch.cpu_experts is not None and cluster.host is not None and cluster.host.bandwidth is not None
    arch, sizes = model.architecture, model.component_bytes
    hit = sizes["routed experts"] * experts_hit(model, batch) / arch.n_routed_experts
    on_cpu = hit * (1 - launch.cpu_experts.gpu_experts / arch.n_routed_experts)
    cache = batch * context * model.kv_bytes_per_token(launch.kv_dtype)
    on_gpu = (step_bytes(model, batch) - on_cpu) / launch.tp + cache
    return on_cpu / cluster.host.bandwidth + on_gpu / cluster.gpu.bandwidth


def efficiency(batch: int) -> tuple[float, float]:
    """The share of the bound that engines reach, low and high: between the published points evenly in the batch's logarithm."""
    share = min(1.0, log(max(1, batch)) / log(_MANY_AT))
    low, high = (alone * (many / alone) ** share for alone, many in zip(_ALONE, _MANY, strict=True))
    return low, high


def throughput(model: ModelSpec, cluster: Cluster, launch: Launch, batch: int, context: int) -> Throughput | None:
    """Tokens a second of one instance; None where the bandwidth of the memory that holds the experts is not known."""
    if launch.cpu_experts is not None and (cluster.host is None or cluster.host.bandwidth is None):
        return None
    bound = batch / step_seconds(model, cluster, launch, batch, context)
    if launch.cpu_experts is not None:
        return Throughput(batch, context, bound, None, None)
    low, high = efficiency(batch)
    return Throughput(batch, context, bound, low * bound, high * bound)
