"""The tensors that a checkpoint of an architecture must have: names, shapes and element types.

Names are those of DeepSeek-V3's and Kimi K2's published checkpoints; K2.5 has `language_model.` before each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..specs import BLOCK, GROUP, Architecture, Component, Format, Formats, Matrix, layer_matrices, outer_matrices
from .dtypes import FLOATS, FP8

__all__ = ["LINEAR", "SCALE_SUFFIX", "Expected", "expected_tensors", "layer_of", "part_component", "prefix_of", "weights"]

#: What block-fp8 makes of a weight's name is the name of its scales.
SCALE_SUFFIX: Final = "_scale_inv"
#: Components whose matrices are quantised; embedding, head, router and norms stay as they are.
LINEAR: Final[frozenset[Component]] = frozenset({"routed experts", "attention", "shared experts", "dense MLP"})
_NESTED = "language_model."
_LAYER = re.compile(r"^(?:language_model\.)?model\.layers\.(\d+)\.")
_FOLDERS: Final[dict[str, str]] = {
    "attention": "self_attn.",
    "dense MLP": "mlp.",
    "shared experts": "mlp.shared_experts.",
    "router": "mlp.",
    "q_a_layernorm": "self_attn.",
    "kv_a_layernorm": "self_attn.",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a tensor must be."""

    component: Component
    shape: tuple[int, ...]
    dtypes: frozenset[str]
    """Any of them."""


def weights(arch: Architecture, prefix: str = "") -> Iterator[tuple[str, Matrix]]:
    """Every weight's name without quantisation, with its matrix; the matrix of an expert is that of all of its layer."""
    for matrix in outer_matrices(arch):
        yield f"{prefix}{'' if matrix.component == 'lm_head' else 'model.'}{matrix.name}.weight", matrix
    for layer in range(arch.num_hidden_layers):
        for matrix in layer_matrices(arch, layer):
            for name in _names(matrix):
                yield f"{prefix}model.layers.{layer}.{name}", matrix


def expected_tensors(arch: Architecture, formats: Formats, prefix: str = "") -> dict[str, Expected]:
    """Every tensor of the checkpoint, with what it must be.

    Args:
        arch: sizes of the model.
        formats: format of each component.
        prefix: what stands before every name, see `prefix_of`.
    """
    found: dict[str, Expected] = {}
    parts: dict[Matrix, list[tuple[str, Expected]]] = {}
    for name, matrix in weights(arch, prefix):
        if matrix not in parts:
            parts[matrix] = list(_parts(matrix, formats[matrix.component]))
        found.update({name + suffix: expected for suffix, expected in parts[matrix]})
    return found


def prefix_of(names: Iterable[str]) -> str:
    """What stands before every name of the language model: nothing, or `language_model.` in multimodal checkpoints."""
    return _NESTED if any(name.startswith(_NESTED) for name in names) else ""


def layer_of(name: str) -> int | None:
    """The layer of the language model that a tensor belongs to; None outside the layers."""
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def part_component(name: str) -> Component | None:
    """The component that a tensor of that name belongs to, whatever its model's sizes; None for what K2 has not."""
    inner = name.removeprefix(_NESTED)
    if not inner.startswith(("model.", "lm_head.")):
        return None
    return next((component for part, component in _BY_NAME.items() if part in inner), None)


#: The first that is found in a name decides; norms come first, for two of them lie in the attention.
_BY_NAME: Final[dict[str, Component]] = {
    "norm.": "norms",
    ".mlp.experts.": "routed experts",
    ".mlp.shared_experts.": "shared experts",
    ".mlp.gate.": "router",
    ".mlp.": "dense MLP",
    ".self_attn.": "attention",
    "embed_tokens.": "embedding",
    "lm_head.": "lm_head",
}


def _names(matrix: Matrix) -> Iterator[str]:
    if matrix.component == "routed experts":
        yield from (f"mlp.experts.{expert}.{matrix.name}.weight" for expert in range(matrix.count))
    elif matrix.name == "e_score_correction_bias":
        yield "mlp.gate.e_score_correction_bias"
    else:
        yield f"{_FOLDERS.get(matrix.component) or _FOLDERS.get(matrix.name, '')}{matrix.name}.weight"


def _parts(matrix: Matrix, form: Format) -> Iterator[tuple[str, Expected]]:
    """What a weight is stored as: suffix of each name, and what it must be."""
    vector = matrix.component == "norms" or matrix.name == "e_score_correction_bias"
    rows, columns = matrix.rows, matrix.columns
    if form == "bf16" or vector or matrix.component not in LINEAR:
        yield "", Expected(matrix.component, (rows,) if vector else (rows, columns), FLOATS)
    elif form == "fp8-block":
        yield "", Expected(matrix.component, (rows, columns), frozenset({FP8}))
        yield SCALE_SUFFIX, Expected(matrix.component, (-(-rows // BLOCK), -(-columns // BLOCK)), frozenset({"F32"}))
    else:
        yield "_packed", Expected(matrix.component, (rows, -(-columns // 8)), frozenset({"I32"}))
        yield "_scale", Expected(matrix.component, (rows, -(-columns // GROUP)), FLOATS)
        yield "_shape", Expected(matrix.component, (2,), frozenset({"I32", "I64"}))
