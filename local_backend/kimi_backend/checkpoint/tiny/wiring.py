"""Weights that make Kimi K2's architecture say a script.

What a real run of the model does for it, layer by layer:

0. Four heads of latent attention each look one, two, three or four tokens back, by the rotary part of query and key alone, and copy
   what they see into a place of their own. The dense MLP marks the conversation's first token: `<|im_system|>`, seen behind itself.
1. One head attends to the first token and to every `<|im_assistant|>`, all equally, by the compressed part of the key: the share of
   the first is 1 / (1 + assistant messages so far). The shared expert turns that into steps: "at least the second turn", …
2. The router sends a token to the expert that holds its transitions. A row of that expert is a conjunction: this turn, this token,
   these tokens before it; it writes the next token, which the head reads. Where no row answers, `<|im_end|>` wins.

So a wrong rotation, latent, router or expert in an engine breaks the script. All other weights are small noise.
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from ...specs import Architecture
from ...weights.block_fp8 import BLOCK, LARGEST
from .attention import FREQUENCIES, count_messages, look_back
from .errors import TinyError
from .places import (
    ASSISTANT,
    CODE,
    CONSTANT,
    EXPERTS,
    FIRST,
    HIDDEN,
    NEXT,
    OTHER,
    SHARE,
    STEPS,
    STEPS_END,
    SURE,
    UNIT,
    match,
    put,
)
from .script import WINDOW

__all__ = ["MOST_TURNS", "MOST_TURNS_FP8", "Row", "Wiring", "expert_loads", "wire"]

#: Turns that can be told apart. fp8 engines round activations to four bits, so there the share 1 / (t + 2) tells fewer.
MOST_TURNS: Final = STEPS_END - STEPS
MOST_TURNS_FP8: Final = 8
_LOOKING, _COUNTING, _CHOOSING = range(3)  # layers


@dataclass(frozen=True, slots=True)
class Row:
    """After `context` (ids, the last one first), in turn number `turn` (from 0), comes `following`."""

    turn: int
    context: tuple[int, ...]
    following: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the weights are made of.

    Attributes:
        rows: all that is said; no two of equal turn and context.
        turns: how many turns there are; the last is said again for ever.
        system: id of `<|im_system|>`.
        assistant: id of `<|im_assistant|>`.
        end: id of `<|im_end|>`.
    """

    rows: Sequence[Row]
    turns: int
    system: int
    assistant: int
    end: int


def expert_loads(rows: Sequence[Row], experts: int) -> tuple[dict[int, int], int]:
    """Expert of each token that something follows, so that all have about the same number of rows; and the most that one has."""
    counts = Counter(row.context[0] for row in rows)
    loads = [0] * experts
    homes: dict[int, int] = {}
    for token, rows_of_it in counts.most_common():
        homes[token] = expert = loads.index(min(loads))
        loads[expert] += rows_of_it
    return homes, max(loads)


def wire(arch: Architecture, tensors: Mapping[str, Tensor], wiring: Wiring, codes: Tensor) -> None:
    """Writes the script into `tensors`, which hold noise, fp32, by their names in the checkpoint.

    Args:
        arch: what the tensors are of.
        tensors: of all the names of `shapes(arch)`.
        wiring: what shall be said.
        codes: `[vocab_size, CODE]` of 1 and -1.

    Raises:
        TinyError: the sizes leave no room for the script.
    """
    _check(arch)
    for name, tensor in tensors.items():
        if "norm" in name:
            tensor.fill_(1)
    homes, _ = expert_loads(wiring.rows, arch.n_routed_experts)
    _embed(tensors["model.embed_tokens.weight"], codes, homes, arch.n_routed_experts, wiring.assistant)
    layers = [_layer(tensors, number) for number in range(arch.num_hidden_layers)]
    for layer in layers:
        _keep_clean(layer, EXPERTS + arch.n_routed_experts)
    look_back(arch, layers[_LOOKING])
    _mark_first(layers[_LOOKING], codes[wiring.system])
    count_messages(arch, layers[_COUNTING])
    _step(layers[_COUNTING], wiring.turns)
    _choose(layers[_CHOOSING], wiring, codes, homes)
    _speak(tensors["lm_head.weight"], codes, wiring.end)


def _check(arch: Architecture) -> None:
    """Refuses sizes that leave no room for the script.

    Raises:
        TinyError: which sizes it needs.
    """
    hidden = max(HIDDEN, EXPERTS + arch.n_routed_experts)
    needs = {
        f"hidden_size of at least {hidden}": arch.hidden_size >= hidden,
        "num_hidden_layers of at least 3": arch.num_hidden_layers >= 3,
        "first_k_dense_replace 1 and moe_layer_freq 1": arch.moe_layers[:2] == (1, 2),
        f"num_attention_heads of at least {WINDOW - 1}": arch.num_attention_heads >= WINDOW - 1,
        f"v_head_dim of at least {CODE}": arch.v_head_dim >= CODE,
        f"kv_lora_rank of at least {CODE}": arch.kv_lora_rank >= CODE,
        f"qk_rope_head_dim of at least {2 * FREQUENCIES}": arch.qk_rope_head_dim >= 2 * FREQUENCIES,
        "n_group 1": arch.n_group == 1,
        f"shared experts of width {BLOCK} at least": arch.moe_intermediate_size * arch.n_shared_experts >= BLOCK,
        "tie_word_embeddings off": not arch.tie_word_embeddings,
    }
    if missing := [need for need, met in needs.items() if not met]:
        raise TinyError(f"a script needs {', '.join(missing)}")


def _layer(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """The layer's tensors by what their names end in."""
    prefix = f"model.layers.{number}."
    return {name.removeprefix(prefix).removesuffix(".weight"): t for name, t in tensors.items() if name.startswith(prefix)}


def _embed(embedding: Tensor, codes: Tensor, homes: Mapping[int, int], experts: int, assistant: int) -> None:
    """Every token's embedding has the same length, so that the norms before layer 0 scale all alike."""
    embedding.zero_()
    embedding[:, :CODE] = codes
    embedding[:, CONSTANT] = UNIT
    embedding[:, OTHER] = UNIT
    embedding[assistant, OTHER] = 0
    embedding[assistant, ASSISTANT] = UNIT
    for token in range(len(embedding)):
        embedding[token, EXPERTS + homes.get(token, token % experts)] = UNIT


def _keep_clean(layer: Mapping[str, Tensor], end: int) -> None:
    """No noise is written where the constant, the flags and the share are: thresholds are compared with them."""
    for name, tensor in layer.items():
        if name.endswith(("o_proj", "down_proj")):
            tensor[CONSTANT:end] = 0


def _mark_first(layer: Mapping[str, Tensor], system: Tensor) -> None:
    """Sets `FIRST` where the token and the one before are `<|im_system|>`: only the first token sees itself behind it."""
    gate, up, down = (layer[f"mlp.{name}_proj"] for name in ("gate", "up", "down"))
    put(gate[0])
    match(gate[0], [system, system], 4 * SURE)
    put(up[0], {CONSTANT: 1 / UNIT})
    down[:, 0] = 0
    down[FIRST, 0] = UNIT / SURE


def _step(layer: Mapping[str, Tensor], turns: int) -> None:
    """Sets `STEPS + t` in turn `t` and later ones, for each `t` of 1 and more.

    In turn `t` the share is 1 / (t + 2). A step is the difference of two units whose thresholds are a bit apart: so it is as high
    just beyond the threshold as far beyond.
    """
    gate, up, down = (layer[f"mlp.shared_experts.{name}_proj"] for name in ("gate", "up", "down"))
    for turn in range(1, turns):
        before, after = 1 / (turn + 1), 1 / (turn + 2)
        strength = 2.0 ** round(math.log2(2 * SURE / (before - after)))
        for unit, shift in ((2 * turn - 2, 0.0), (2 * turn - 1, SURE / 2)):
            threshold = (strength * (before + after) / 2 - shift) / UNIT
            put(gate[unit], {SHARE: -strength / UNIT, CONSTANT: _coarse(threshold), OTHER: _coarse(threshold - _coarse(threshold))})
            put(up[unit], {CONSTANT: 1 / UNIT})
            down[:, unit] = 0
            down[STEPS + turn, unit] = (-1 if shift else 1) * UNIT / (SURE / 2)
    # The scale of the block that the thresholds are in becomes a power of two: so block-fp8 keeps what `_coarse` left of them.
    put(gate[BLOCK - 1], {CONSTANT: 16 * LARGEST})
    put(up[BLOCK - 1])


def _coarse(value: float) -> float:
    """The nearest number of four significant bits, which is what fp8 e4m3 has."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 16) / 16, exponent)


def _choose(layer: Mapping[str, Tensor], wiring: Wiring, codes: Tensor, homes: Mapping[int, int]) -> None:
    """One unit of a routed expert for each row of the script."""
    router = layer["mlp.gate"]
    for expert in range(len(router)):
        put(router[expert], {EXPERTS + expert: 2.0})
    used: Counter[int] = Counter()
    for row in wiring.rows:
        expert = homes[row.context[0]]
        gate, up, down = (layer[f"mlp.experts.{expert}.{name}_proj"] for name in ("gate", "up", "down"))
        unit = used[expert]
        used[expert] += 1
        put(gate[unit])
        match(gate[unit], [codes[token] for token in row.context], 4 * SURE, more=1)
        _in_turn(gate[unit], row.turn, wiring.turns, 4 * SURE)
        put(up[unit], {CONSTANT: 1 / UNIT})
        down[:, unit] = 0
        down[NEXT : NEXT + CODE, unit] = codes[row.following] * 0.25


def _in_turn(row: Tensor, turn: int, turns: int, strength: float) -> None:
    """Adds `strength` in this turn only."""
    if turn == 0:
        row[CONSTANT] += strength / UNIT
    else:
        row[STEPS + turn] = strength / UNIT
    if turn + 1 < turns:
        row[STEPS + turn + 1] = -strength / UNIT


def _speak(head: Tensor, codes: Tensor, end: int) -> None:
    """A token's logit is how much `NEXT` is like its code; the end of the message has a little more, for where `NEXT` is empty."""
    head[:, NEXT : NEXT + CODE] = codes * 0.25
    head[end, CONSTANT] = 2.0
