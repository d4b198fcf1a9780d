"""What a model asks of a launch, apart from memory; what an engine asks is the engine's own to say."""

from __future__ import annotations

from collections.abc import Iterator

from ..engines.base import Traits
from ..hardware import GPU
from ..launch import Launch
from ..specs import BLOCK, GROUP, Matrix, ModelSpec, layer_matrices

__all__ = ["breaches"]

_BY_HEADS = ("q_b_proj", "kv_b_proj", "o_proj")


def breaches(model: ModelSpec, gpu: GPU, launch: Launch, traits: Traits) -> list[str]:
    """What the model, the cards, or the engine with any model, do not allow, a sentence each; [] is good."""
    return [*_shapes(model, launch), *_cards(gpu, launch, traits), *_bounds(model, launch, traits)]


def _cards(gpu: GPU, launch: Launch, traits: Traits) -> Iterator[str]:
    """What an engine's kernels do not run on."""
    if gpu.amd and launch.engine == "tensorrt-llm":
        yield f"{traits.title} runs on NVIDIA's cards alone, and the {gpu.name} is AMD's: take sglang or vllm"
    if traits.wide_requests_per_rank is not None and launch.attention_dp > 1 and launch.ep > 1 and not gpu.deepep:
        yield (
            f"{traits.title} lays whole experts out with DeepEP and DeepGEMM, which want Hopper or newer and NVLink between the "
            f"cards of a node: the {gpu.name} is not so"
        )
    # vLLM's Triton MLA: "native FP8 (fp8e4nv) requires SM89+"; that of FlashMLA is for Hopper and newer
    if launch.kv_dtype == "fp8" and not gpu.fp8 and launch.engine == "vllm":
        yield f"{traits.title} has no fp8 KV cache on the {gpu.name}, which does not compute in fp8: take bf16"


def _shapes(model: ModelSpec, launch: Launch) -> Iterator[str]:
    arch, group = model.architecture, launch.tp // launch.attention_dp
    if arch.num_attention_heads % group:
        yield f"{arch.num_attention_heads} attention heads do not divide over {group} ranks"
    if model.formats["attention"] == "fp8-block":
        yield from _attention_blocks(model, group)
    if launch.pp > arch.num_hidden_layers:
        yield f"{arch.num_hidden_layers} layers do not fill {launch.pp} pipeline stages"
    if launch.ep > 1 and arch.n_routed_experts % launch.ep:
        yield f"{arch.n_routed_experts} experts do not divide over {launch.ep} ranks"
    odd = {m.component: m.rows for m in _sliced(model, launch) if m.rows % (launch.tp * _unit(model, m))}
    if odd:
        units = {BLOCK: "blocks of 128 rows", GROUP: "groups of 32", 1: "rows"}
        told = (f"{width} of the {c} is {width / launch.tp:g} a slice" for c, width in odd.items())
        unit = units[max(_unit(model, m) for m in _sliced(model, launch))]
        yield (
            f"{launch.tp} slices of an MLP's width are no whole {unit} that share a scale: {', '.join(told)}; lay whole experts "
            "out over the ranks instead (attention-dp), split the layers over nodes (pipeline), or take fewer ranks"
        )


def _attention_blocks(model: ModelSpec, group: int) -> Iterator[str]:
    """vLLM's `validate_fp8_block_shape` and SGLang's linear layers: a rank's part of a matrix is whole blocks of scales."""
    arch = model.architecture
    parts = {m.name: m.columns if m.name == "o_proj" else m.rows for m in layer_matrices(arch, 0) if m.name in _BY_HEADS}
    odd = {name: width for name, width in parts.items() if group > 1 and width % (group * BLOCK)}
    if odd and not arch.num_attention_heads % group:
        told = ", ".join(f"{width} of {name} is {width / group:g} a rank" for name, width in odd.items())
        yield f"attention over {group} ranks is no whole blocks of 128 that share a scale: {told}; take more attention groups"


def _sliced(model: ModelSpec, launch: Launch) -> Iterator[Matrix]:
    """Each kind of matrix that is cut along the width of an MLP."""
    arch = model.architecture
    for layer in (0, arch.num_hidden_layers - 1):
        for matrix in layer_matrices(arch, layer):
            whole = matrix.component == "routed experts" and (launch.ep > 1 or launch.cpu_experts is not None)
            alone = matrix.component in ("shared experts", "dense MLP") and launch.attention_dp > 1
            if matrix.name == "gate_proj" and not whole and not alone:
                yield matrix


def _unit(model: ModelSpec, matrix: Matrix) -> int:
    """Rows of a matrix that share a scale."""
    return {"fp8-block": BLOCK, "int4-g32": GROUP, "bf16": 1}[model.formats[matrix.component]]


def _bounds(model: ModelSpec, launch: Launch, traits: Traits) -> Iterator[str]:
    longest = model.architecture.max_position_embeddings
    if launch.context > longest:
        yield f"a context of {launch.context:,} is longer than the {longest:,} positions of {model.name}"
    if launch.context < 1:
        yield f"a context of {launch.context} holds no token"
    if not 0 < launch.memory_fraction <= traits.max_fraction:
        yield (
            f"{launch.memory_fraction:g} of the card's memory is outside 0 to {traits.max_fraction:g}: the rest is for the CUDA "
            "context, NCCL, graphs and activations"
        )
