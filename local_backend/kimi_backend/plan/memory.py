"""What one rank holds: every part of the weights with the number of ranks that share it.

Source of the sharding: SGLang 0.5 and vLLM 0.33 as served for DeepSeek-V3-like models. The low-rank projections into the latent
space are on every rank; what has a head dimension is split over the ranks of an attention group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..engines.base import LeftOver, Traits
from ..launch import Launch
from ..specs import Architecture, Component, Matrix, ModelSpec, layer_matrices, outer_matrices

__all__ = ["Part", "Stage", "stages", "weight_parts"]

_REPLICATED = ("q_a_proj", "kv_a_proj_with_mqa")
ABSORBED = "absorbed kv_b"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the weights on one rank."""

    name: Component | str
    bytes: int
    ways: int
    """Ranks that share it; 1 is a copy on each."""

    @property
    def sharded(self) -> bool:
        """Whether a rank holds less than all of it."""
        return self.ways > 1


@dataclass(frozen=True, slots=True)
class Stage:
    """The layers of one pipeline stage."""

    first: int
    layers: int
    is_first: bool
    is_last: bool


def stages(layers: int, pp: int, left_over: LeftOver) -> tuple[Stage, ...]:
    """How layers are split over pipeline stages: evenly, and those left over one each to the stages that the engine gives them."""
    counts, more = [layers // pp] * pp, layers % pp
    begin = {"first": 0, "before last": pp - 1 - more, "last": pp - more}[left_over]
    for i in range(begin, begin + more):
        counts[i] += 1
    starts = [sum(counts[:i]) for i in range(pp)]
    return tuple(Stage(s, n, i == 0, i == pp - 1) for i, (s, n) in enumerate(zip(starts, counts, strict=True)))


def weight_parts(model: ModelSpec, launch: Launch, stage: Stage, traits: Traits) -> tuple[Part, ...]:
    """The weights that a rank of this stage keeps on its card, bytes with their scales."""
    found: dict[tuple[str, int], int] = {}
    for matrix, times in _stage_matrices(model.architecture, stage):
        ways = _ways(matrix, launch, traits)
        key = (_part_name(matrix), ways)
        found[key] = found.get(key, 0) + times * _on_card(model, matrix, launch)
    absorbed, ways = _absorbed(model, stage), launch.tp // launch.attention_dp
    found[ABSORBED, ways] = absorbed
    return tuple(Part(name, -(-size // ways), ways) for (name, ways), size in found.items() if size)


def _stage_matrices(arch: Architecture, stage: Stage) -> Iterator[tuple[Matrix, int]]:
    """Each kind of matrix with the number of layers that have it: layers with experts are all alike, and so are those without."""
    for matrix in outer_matrices(arch):
        # a tied head is the embedding, so both ends of the pipeline hold it
        here = stage.is_first or (arch.tie_word_embeddings and stage.is_last) if matrix.component == "embedding" else stage.is_last
        if here:
            yield matrix, 1
    layers = range(stage.first, stage.first + stage.layers)
    moe = [layer for layer in arch.moe_layers if layer in layers]
    dense = [layer for layer in layers if layer not in set(moe)]
    for alike in (moe, dense):
        for matrix in layer_matrices(arch, alike[0]) if alike else ():
            yield matrix, len(alike)


def _part_name(matrix: Matrix) -> str:
    if matrix.component != "attention":
        return matrix.component
    return "attention, low-rank inputs" if matrix.name in _REPLICATED else "attention, heads"


def _on_card(model: ModelSpec, matrix: Matrix, launch: Launch) -> int:
    size = model.bytes_of(matrix)
    if matrix.component == "routed experts" and launch.cpu_experts is not None:
        return size * launch.cpu_experts.gpu_experts // model.architecture.n_routed_experts
    return size


def _ways(matrix: Matrix, launch: Launch, traits: Traits) -> int:
    group, parallel = launch.tp // launch.attention_dp, launch.attention_dp > 1
    match matrix.component:
        case "routed experts":
            return launch.tp
        case "attention":
            return 1 if matrix.name in _REPLICATED else group
        case "shared experts" | "dense MLP":
            return 1 if parallel else launch.tp
        case "embedding":
            return group if parallel else launch.tp
        case "lm_head":
            return group if parallel and not traits.head_sharded_under_dp else launch.tp
        case "router" | "norms":
            return 1


def _absorbed(model: ModelSpec, stage: Stage) -> int:
    """Engines keep kv_b a second time, in bf16, in the form that is multiplied into queries and outputs while decoding."""
    arch = model.architecture
    return 2 * arch.num_attention_heads * (arch.qk_nope_head_dim + arch.v_head_dim) * arch.kv_lora_rank * stage.layers
