"""Where a scripted checkpoint keeps what in the residual stream, and how its weights are set.

The residual holds the code of a token, the codes of the four tokens before it, that of the next token, and single dimensions.
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torch import Tensor

from .script import WINDOW

__all__ = [
    "ALIKE",
    "ASSISTANT",
    "CODE",
    "CONSTANT",
    "EXPERTS",
    "FIRST",
    "HIDDEN",
    "MARGIN",
    "NEXT",
    "OTHER",
    "SHARE",
    "STEPS",
    "STEPS_END",
    "SURE",
    "UNIT",
    "match",
    "put",
]

#: Elements of a token's code, each 1 or -1.
CODE: Final = 128
#: What the constant is in the residual, and a flag that is set.
UNIT: Final = 4.0
NEXT: Final = CODE * WINDOW
#: In this order: UNIT everywhere; UNIT at `<|im_assistant|>`, else 0; 0 there, else UNIT; above 0 at the first token alone;
#: UNIT / (1 + assistant messages so far).
CONSTANT, ASSISTANT, OTHER, FIRST, SHARE = (NEXT + CODE + i for i in range(5))
#: One for each turn: UNIT in that turn and later ones.
STEPS: Final = SHARE + 1
STEPS_END: Final = STEPS + 16
#: One for each expert: UNIT at the tokens that shall be sent to it.
EXPERTS: Final = STEPS_END
HIDDEN: Final = 1024
#: What a unit gets that shall be on: silu leaves it as it is.
SURE: Final = 16.0
#: Of one condition, by which a row is above its threshold when all are met; 1 - MARGIN is more than codes may be ALIKE.
MARGIN: Final = 0.375
ALIKE: Final = 0.5


def put(row: Tensor, places: Mapping[int, float] | None = None) -> None:
    """A row without noise: zero but for `places`."""
    row.zero_()
    for place, value in (places or {}).items():
        row[place] = value


def match(row: Tensor, codes: Sequence[Tensor], strength: float, more: int = 0) -> None:
    """`strength` * MARGIN where the newest tokens have these codes and `more` flags are set, and below zero if one is missing."""
    for number, code in enumerate(codes):
        row[number * CODE : (number + 1) * CODE] = code * (strength / CODE)
    row[CONSTANT] = -strength * (len(codes) + more - MARGIN) / UNIT
