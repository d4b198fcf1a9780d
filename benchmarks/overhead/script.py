"""What the endpoint of the benchmark says in one run. It travels as the model's name, so that the endpoint keeps no state."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Script:
    """One run of the model: `turns - 1` turns with tool calls, then the text "done".

    Attributes:
        turns: model calls in one run.
        calls: tool calls in each turn but the last.
        tool: name of the tool that is called.
        deltas: argument deltas of each call, where the answer is streamed.
        delay_ms: milliseconds that the model thinks before its first byte.
        final_tool: called in the last turn in place of the text, for a library that ends a run by a call; "" for none.
    """

    turns: int
    calls: int
    tool: str
    deltas: int = 1
    delay_ms: int = 0
    final_tool: str = ""

    @property
    def model(self) -> str:
        """The model's name."""
        return f"script-{self.turns}-{self.calls}-{self.tool}-{self.deltas}-{self.delay_ms}-{self.final_tool}"

    @classmethod
    def of(cls, model: str) -> Self:
        """The script of a model's name. Raises ValueError for another name."""
        head, turns, calls, tool, deltas, delay_ms, final_tool = model.split("-")
        if head != "script":
            raise ValueError(f"{model!r} is no script")
        return cls(int(turns), int(calls), tool, int(deltas), int(delay_ms), final_tool)
