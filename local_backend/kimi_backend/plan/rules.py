"""What a model asks of a launch, apart from memory; what an engine asks is the engine's own to say."""

from __future__ import annotations

from collections.abc import Iterator

from ..engines.base import Traits
from ..launch import Launch
from ..specs import BLOCK, GROUP, Matrix, ModelSpec, layer_matrices

__all__ = ["breaches"]


def breaches(model: ModelSpec, launch: Launch, traits: Traits) -> list[str]:
    """What the model, or the engine with any model, does not allow, a sentence each; [] is good."""
    return [*_shapes(model, launch), *_bounds(model, launch, traits)]


def _shapes(model: ModelSpec, launch: Launch) -> Iterator[str]:
    arch, group = model.architecture, launch.tp // launch.attention_dp
    if arch.num_attention_heads % group:
        yield f"{arch.num_attention_heads} attention heads do not divide over {group} ranks"
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
            "out over the ranks instead (attention-dp), or take fewer ranks"
        )


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
