"""What an engine is started with, in no engine's words: the seam between planning, the engines and what is written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CPUExperts", "CPUMethod", "EngineName", "Invocation", "KVType", "Launch", "Node", "Role", "Site"]

EngineName = Literal["sglang", "vllm", "ktransformers", "tensorrt-llm"]
Role = Literal["serve", "prefill", "decode"]
KVType = Literal["bf16", "fp8"]
CPUMethod = Literal["RAWINT4", "FP8", "AMXINT4", "AMXINT8", "BF16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CPUExperts:
    """Experts that are computed on the CPUs (KTransformers); attention, shared experts and the rest stay on the GPUs."""

    gpu_experts: int
    """Experts a layer that stay on the GPUs."""
    threads: int
    """Threads of all sockets that compute experts."""
    numa_nodes: int
    method: CPUMethod
    """KTransformers' name of the weights' form on the CPU; RAWINT4 and FP8 read the checkpoint as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One instance of an engine: one model in memory, on one or several nodes.

    Equal launches are the same start: this is what every rendered form is read back to.
    """

    engine: EngineName
    role: Role = "serve"
    """`prefill` and `decode` are the two sides of prefill-decode disaggregation."""
    nodes: int
    gpus_per_node: int
    tp: int
    """GPUs that share each layer, whatever the way: SGLang's --tp-size; attention itself is split `tp / attention_dp` ways."""
    pp: int = 1
    """Pipeline stages; `nodes * gpus_per_node == tp * pp`."""
    attention_dp: int = 1
    """Groups of a stage that hold other requests' KV cache each. 1 is plain tensor parallelism."""
    ep: int = 1
    """Ranks of a stage over which whole experts are laid out; 1 slices every expert over all ranks."""
    dcp: int = 1
    """Ranks over which one sequence's latent cache is split (vLLM's decode context parallelism)."""
    context: int
    """Longest sequence, tokens."""
    memory_fraction: float
    """Share of a card's memory, as the engine's own flag takes it. 0.01 to 0.99, two digits after the point."""
    kv_dtype: KVType = "bf16"
    max_running: int | None = None
    """Requests computed at once, over all ranks; None leaves it to the engine."""
    thinking: bool = False
    """A thinking model (K2-Thinking, K2.5 and later): its thoughts are parsed apart."""
    low_latency: bool = True
    """Tuned for few requests at once, not for many."""
    cpu_experts: CPUExperts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where it is to run: what the plan cannot know. Nothing here is secret: keys are read from files or Secrets by name."""

    model_path: str
    """Folder of the checkpoint as every node (or container) sees it."""
    addresses: tuple[str, ...] = ()
    """Address of each node in rank order, prefill before decode; the first of an instance is its head."""
    served_name: str = "kimi-k2"
    port: int = 30000
    """Port of the OpenAI-compatible server on an instance's head."""
    rendezvous_port: int = 20000
    host: str = "127.0.0.1"
    """Address that the server listens on. Across nodes or in containers 0.0.0.0 is said explicitly by the user."""
    interface: str | None = None
    """Network interface for NCCL's and Gloo's own sockets, such as bond0."""
    infiniband: tuple[str, ...] = ()
    """InfiniBand or RoCE devices, such as mlx5_0."""
    image: str | None = None
    """Container image; None is the engine's official one at the version that the flags were checked against."""
    api_key_file: str | None = None
    """File that holds the key that clients must send; its content is never written into what is rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of an instance, as its command must name it: literal values, or a target's own variables such as `$SLURM_NODEID`."""

    rank: str
    head: str
    """Address of the instance's first node."""
    is_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What runs on one node."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Files beside the command, by name: TensorRT-LLM's YAML. `argv` names them as they stand here."""
