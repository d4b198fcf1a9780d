"""Names and shapes of the tensors of a bf16 checkpoint, as K2's files have them."""

from __future__ import annotations

from ...specs import Architecture
from ..layout import weights

__all__ = ["Shape", "shapes"]

Shape = tuple[int, ...]


def shapes(arch: Architecture) -> dict[str, Shape]:
    """Name → shape, in the order in which the model uses them."""
    found = {name: (m.rows,) if m.columns == 1 else (m.rows, m.columns) for name, m in weights(arch)}
    for last in ("model.norm.weight", "lm_head.weight"):
        if last in found:
            found[last] = found.pop(last)
    return found
