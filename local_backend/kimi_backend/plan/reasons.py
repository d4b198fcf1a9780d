"""Why a layout was taken, and what to mind, in words with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..engines.base import Traits
from ..hardware import Cluster
from ..specs import ModelSpec
from .assess import Assessed, host_bytes
from .candidates import LEAST_REST
from .refusal import count
from .wish import STRATEGIES, Wish, short_name
from .words import GB

__all__ = ["reasons", "warnings"]


def reasons(
    model: ModelSpec, cluster: Cluster, wish: Wish, traits: Traits, taken: Assessed, others: Sequence[Assessed]
) -> Iterator[str]:
    """Sentences: the strategy, the memory, the cache, and what the other strategies would hold."""
    strategy, launch = taken.candidate.strategy, taken.launch
    asked = " (asked for)" if wish.strategy else ""
    yield f"{_begun(STRATEGIES[strategy])}{asked}. {_why_strategy(cluster, wish, taken)}".rstrip()
    yield from _memory(model, traits, taken)
    if launch.kv_dtype == "fp8" and wish.kv_dtype is None:
        yield "The KV cache is in fp8: in bf16 it would hold half of that."
    if launch.memory_fraction > traits.fraction and wish.memory_fraction is None:
        yield f"{launch.memory_fraction:g} of each card is taken: at the usual {traits.fraction:g} it would not fit."
    for other in others:
        yield _other(other)


def _why_strategy(cluster: Cluster, wish: Wish, taken: Assessed) -> str:
    launch, fewest = taken.launch, taken.launch.nodes
    if wish.strategy is not None or launch.cpu_experts is not None:
        return ""
    if taken.candidate.strategy == "tensor" and fewest < cluster.nodes:
        told = f"are {count(taken.instances, 'instance')}" if taken.instances > 1 else "is one"
        enough = "One node is" if fewest == 1 else f"{fewest} nodes are"
        return f"{enough} enough for an instance, so there {told}: an all-reduce waits for the slowest link that it crosses."
    if taken.candidate.strategy == "tensor":
        return "One sequence is answered fastest so."
    if wish.goal == "throughput":
        return f"Of what fits, it decodes most tokens a second, {count(taken.sessions, 'session')} of {launch.context:,} tokens."
    return f"Plain tensor parallelism does not hold {count(wish.sessions or 1, 'session')} of {launch.context:,} tokens."


def _memory(model: ModelSpec, traits: Traits, taken: Assessed) -> Iterator[str]:
    launch, pool = taken.launch, taken.pool
    fullest = min(taken.memory, key=lambda rank: rank.kv / rank.kv_per_token)
    inside = f" and {fullest.activations / GB:.1f} GB of activations" if fullest.activations else ""
    yield (
        f"A rank holds {fullest.weights / GB:.1f} GB of weights{inside}; {launch.memory_fraction:g} of "
        f"{'what is free then' if traits.fraction_of_free else 'its card'} leaves {fullest.kv / GB:.1f} GB for the KV cache."
    )
    where = f"in each of {pool.groups} attention groups, {pool.tokens:,} in all" if pool.groups > 1 else "in all"
    held = count(pool.sessions(launch.context), "session")
    yield (
        f"That is {pool.tokens_per_group:,} tokens {where}: {held} of {launch.context:,} tokens"
        + (f" an instance, {taken.sessions:,} together." if taken.instances > 1 else ".")
    )
    if launch.cpu_experts is not None:
        on_gpu = f"{launch.cpu_experts.gpu_experts} of {model.architecture.n_routed_experts} experts a layer are on the GPUs"
        yield f"{on_gpu}; the others take {host_bytes(model, launch) / GB:.0f} GB of the node's memory."


def _other(other: Assessed) -> str:
    launch, strategy = other.launch, other.candidate.strategy
    where = f", {other.instances} instances" if other.instances > 1 else ""
    at = f"at {launch.memory_fraction:g}, {launch.kv_dtype} KV cache"
    return (
        f"Instead, {short_name(strategy)} ({launch.tp * launch.pp} GPUs{where}, {at}) would hold "
        f"{count(other.sessions, 'session')} of {launch.context:,} tokens."
    )


def _deepep(traits: Traits) -> str:
    return " (DeepEP with NVSHMEM)" if traits.wide_requests_per_rank is not None else ""


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]


def warnings(model: ModelSpec, cluster: Cluster, traits: Traits, taken: Assessed) -> Iterator[str]:
    """What may go wrong although the numbers fit."""
    launch = taken.launch
    rest = min(rank.rest for rank in taken.memory)
    idle = cluster.nodes - sum(i.nodes for i in taken.candidate.instances)
    if idle:
        stay = "stays" if idle == 1 else "stay"
        yield f"{count(idle, 'node')} of {cluster.nodes} {stay} idle: no equal instances fill them all as well."
    if rest < LEAST_REST and launch.cpu_experts is None:
        yield (
            f"{rest / GB:.1f} GB a card are left for the CUDA context, NCCL, graphs"
            + ("" if traits.activations_inside else " and activations")
            + f"; published launches leave at least {LEAST_REST / GB:.1f} GB."
        )
    if model.weight_format == "fp8-block" and not cluster.gpu.fp8:
        yield f"{cluster.gpu.name} does not compute in fp8: the engine needs a kernel that unpacks the weights (unverified here)."
    if launch.kv_dtype == "fp8" and not cluster.gpu.fp8:
        yield f"{cluster.gpu.name} does not compute in fp8: whether the engine reads an fp8 KV cache on it is unverified here."
    if cluster.gpu.amd:
        yield (
            f"{cluster.gpu.name} is AMD's: say the engine's ROCm image (render --image), and in written Kubernetes and compose "
            "files put AMD's devices for NVIDIA's."
        )
    if model.vision:
        yield f"{model.name} has a vision tower beside the language model: neither its weights nor its activations are counted."
    if launch.ep > 1 and launch.nodes > 1:
        yield f"Expert parallelism across nodes wants InfiniBand or RoCE between all of them{_deepep(traits)}."
    if taken.pool.sessions(launch.context) == 1 and launch.cpu_experts is None:
        where = " in an instance" if taken.instances > 1 else ""
        yield f"One whole sequence fits{where} and no second: a second long request waits."
    if model.unverified:
        fields = "; ".join(f"{field} ({why})" for field, why in model.unverified.items())
        yield f"Unverified of {model.name}: {fields}. A checkpoint's own config.json settles it: --model FOLDER."
