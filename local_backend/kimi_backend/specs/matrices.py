"""The model's weight matrices by component and layer: what parameters, bytes and shares per rank are counted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .architecture import Architecture

__all__ = ["COMPONENTS", "Component", "Matrix", "layer_matrices", "matrices", "outer_matrices"]

Component = Literal["routed experts", "attention", "shared experts", "embedding", "lm_head", "dense MLP", "router", "norms"]
COMPONENTS: tuple[Component, ...] = (
    "routed experts",
    "attention",
    "shared experts",
    "embedding",
    "lm_head",
    "dense MLP",
    "router",
    "norms",
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Equal weight matrices; a vector has one column."""

    component: Component
    name: str
    """As in the checkpoint, without the layer's and the expert's prefix."""
    rows: int
    columns: int
    count: int = 1
    """How many of them the layer, or the model, has."""

    @property
    def parameters(self) -> int:
        """Elements of all of them."""
        return self.rows * self.columns * self.count


def matrices(arch: Architecture) -> tuple[Matrix, ...]:
    """All of the model's."""
    layers = (m for layer in range(arch.num_hidden_layers) for m in layer_matrices(arch, layer))
    return (*outer_matrices(arch), *layers)


def outer_matrices(arch: Architecture) -> tuple[Matrix, ...]:
    """Those outside the layers. A tied head is no matrix of its own."""
    head = () if arch.tie_word_embeddings else (Matrix("lm_head", "lm_head", arch.vocab_size, arch.hidden_size),)
    return (
        Matrix("embedding", "embed_tokens", arch.vocab_size, arch.hidden_size),
        *head,
        Matrix("norms", "norm", arch.hidden_size, 1),
    )


def layer_matrices(arch: Architecture, layer: int) -> tuple[Matrix, ...]:
    """Those of one layer, counted from 0."""
    mlp = _experts(arch) if layer in arch.moe_layers else _mlp("dense MLP", arch.hidden_size, arch.intermediate_size, 1)
    return (*_attention(arch), *mlp, *_norms(arch))


def _attention(arch: Architecture) -> tuple[Matrix, ...]:
    heads, hidden = arch.num_attention_heads, arch.hidden_size
    shapes = {
        "q_a_proj": (arch.q_lora_rank, hidden),
        "q_b_proj": (heads * arch.qk_head_dim, arch.q_lora_rank),
        "kv_a_proj_with_mqa": (arch.latent_dim, hidden),
        "kv_b_proj": (heads * (arch.qk_nope_head_dim + arch.v_head_dim), arch.kv_lora_rank),
        "o_proj": (hidden, heads * arch.v_head_dim),
    }
    return tuple(Matrix("attention", name, *shape) for name, shape in shapes.items())


def _experts(arch: Architecture) -> tuple[Matrix, ...]:
    hidden, width = arch.hidden_size, arch.moe_intermediate_size
    shared = _mlp("shared experts", hidden, width * arch.n_shared_experts, 1) if arch.n_shared_experts else ()
    router = Matrix("router", "gate", arch.n_routed_experts, hidden)
    bias = Matrix("router", "e_score_correction_bias", arch.n_routed_experts, 1)
    return (*_mlp("routed experts", hidden, width, arch.n_routed_experts), *shared, router, bias)


def _mlp(component: Component, hidden: int, width: int, count: int) -> tuple[Matrix, ...]:
    return (
        Matrix(component, "gate_proj", width, hidden, count),
        Matrix(component, "up_proj", width, hidden, count),
        Matrix(component, "down_proj", hidden, width, count),
    )


def _norms(arch: Architecture) -> tuple[Matrix, ...]:
    widths = {
        "input_layernorm": arch.hidden_size,
        "post_attention_layernorm": arch.hidden_size,
        "q_a_layernorm": arch.q_lora_rank,
        "kv_a_layernorm": arch.kv_lora_rank,
    }
    return tuple(Matrix("norms", name, width, 1) for name, width in widths.items())
