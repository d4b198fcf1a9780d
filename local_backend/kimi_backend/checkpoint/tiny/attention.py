"""The attention of a scripted checkpoint: heads that look back, and one that counts."""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from ...rotary import softmax_scale
from ...specs import Architecture
from .places import ASSISTANT, CODE, CONSTANT, FIRST, SHARE, UNIT, put
from .script import WINDOW

__all__ = ["FREQUENCIES", "count_messages", "look_back"]

_PEAK: Final = 21.0  # of one rotary frequency's part of a score
#: Rotary frequencies in use, the fastest: YaRN does not stretch them, and together they come round nowhere within 262,144 tokens.
FREQUENCIES: Final = 16


def look_back(arch: Architecture, layer: Mapping[str, Tensor]) -> None:
    """Head `h` copies the code of the token `h + 1` before. Its score is the sum of cos(frequency · (distance - h - 1))."""
    query = _constant_query(arch, layer)
    width = math.sqrt(CODE + (2 + 1) * UNIT**2) / math.sqrt(arch.hidden_size)  # root mean square of an embedding
    key = UNIT / width
    strength = _PEAK / softmax_scale(arch) / key / query
    q_b, kv_a, kv_b = (layer[f"self_attn.{name}"] for name in ("q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"))
    for place in range(CODE):
        put(kv_a[place], {place: 1.0})
    for pair in range(arch.qk_rope_head_dim // 2):
        put(kv_a[arch.kv_lora_rank + 2 * pair], {CONSTANT: 1.0} if pair < FREQUENCIES else {})
        put(kv_a[arch.kv_lora_rank + 2 * pair + 1])
    for head in range(WINDOW - 1):
        first = head * arch.qk_head_dim + arch.qk_nope_head_dim
        for pair in range(FREQUENCIES):
            angle = (head + 1) * arch.rope_theta ** (-2 * pair / arch.qk_rope_head_dim)
            put(q_b[first + 2 * pair], {0: strength * math.cos(angle)})
            put(q_b[first + 2 * pair + 1], {0: -strength * math.sin(angle)})
        _copy(arch, layer, kv_b, head)


def count_messages(arch: Architecture, layer: Mapping[str, Tensor]) -> None:
    """Puts UNIT / (1 + assistant messages so far) into `SHARE`, by head 0."""
    query = _constant_query(arch, layer)
    q_b, kv_a, kv_b, o = (layer[f"self_attn.{n}"] for n in ("q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"))
    # The norm of the latent makes of either flag the same number, however large the flag is: the two weigh exactly alike.
    put(kv_a[0], {ASSISTANT: 1.0})
    put(kv_a[1], {FIRST: 1.0})
    put(kv_a[2], {CONSTANT: 0.05})
    for latent in range(3, arch.kv_lora_rank):
        kv_a[latent] *= 0.1
    flag = math.sqrt(arch.kv_lora_rank)
    for place in (0, 1):
        put(q_b[place], {0: 30 / softmax_scale(arch) / flag / query})
        put(kv_b[place], {place: 1.0})
    put(kv_b[arch.qk_nope_head_dim], {1: 1.0})
    put(o[SHARE], {0: UNIT / flag})


def _constant_query(arch: Architecture, layer: Mapping[str, Tensor]) -> float:
    """Makes the compressed query the same for all tokens; the value of its one element that is not noise."""
    put(layer["self_attn.q_a_proj"][0], {CONSTANT: UNIT})
    return math.sqrt(arch.q_lora_rank)


def _copy(arch: Architecture, layer: Mapping[str, Tensor], kv_b: Tensor, head: int) -> None:
    """The head's value is the code that it sees; it is written, as 1 and -1, behind those of nearer tokens."""
    seen = math.sqrt(arch.kv_lora_rank / CODE)  # an element of the code, after the norm of the latent
    value = head * (arch.qk_nope_head_dim + arch.v_head_dim) + arch.qk_nope_head_dim
    for place in range(CODE):
        put(kv_b[value + place], {place: 1.0})
        put(layer["self_attn.o_proj"][CODE * (head + 1) + place], {head * arch.v_head_dim + place: 1 / seen})
