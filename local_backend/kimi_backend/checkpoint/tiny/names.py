"""Names and shapes of the tensors of a bf16 checkpoint, as K2's files have them."""

from __future__ import annotations

from collections.abc import Iterator

from ...specs import Architecture, Matrix, layer_matrices, outer_matrices

__all__ = ["Shape", "shapes"]

Shape = tuple[int, ...]
_ROOMS = {"attention": "self_attn", "dense MLP": "mlp", "shared experts": "mlp.shared_experts", "router": "mlp"}


def shapes(arch: Architecture) -> dict[str, Shape]:
    """Name → shape, in the order in which the model uses them."""
    outer = {m.name: _shape(m) for m in outer_matrices(arch)}
    found = {"model.embed_tokens.weight": outer["embed_tokens"]}
    for layer in range(arch.num_hidden_layers):
        found |= {f"model.layers.{layer}.{name}": _shape(m) for m in layer_matrices(arch, layer) for name in _names(m)}
    found["model.norm.weight"] = outer["norm"]
    if not arch.tie_word_embeddings:
        found["lm_head.weight"] = outer["lm_head"]
    return found


def _shape(matrix: Matrix) -> Shape:
    return (matrix.rows,) if matrix.columns == 1 else (matrix.rows, matrix.columns)


def _names(matrix: Matrix) -> Iterator[str]:
    """Names within the layer, of each of the equal matrices."""
    if matrix.component == "routed experts":
        yield from (f"mlp.experts.{expert}.{matrix.name}.weight" for expert in range(matrix.count))
    elif matrix.name == "e_score_correction_bias":
        yield "mlp.gate.e_score_correction_bias"
    elif matrix.component == "norms":
        yield f"{'self_attn.' if '_a_' in matrix.name else ''}{matrix.name}.weight"
    else:
        yield f"{_ROOMS[matrix.component]}.{matrix.name}.weight"
