"""One engine's options as its own parser declares them, and their form as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, JsonValue, TypeAdapter, with_config

__all__ = ["Action", "Option", "Style", "Table", "read_table"]

Style = Literal["argparse", "flexible", "click"]
"""How an engine reads its words: argparse (SGLang, its router), argparse behind vLLM's own rewriting, or click (TensorRT-LLM)."""
Action = Literal["store", "true", "false", "const", "bool", "append", "help", "nothing", "lora-json", "lora-pairs"]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option or a positional argument. `snapshot.py` writes it down from the engine's own parser."""

    flags: tuple[str, ...]
    """All spellings, hidden ones too; empty for a positional argument."""
    dest: str
    """The engine's own name of the value."""
    action: Action = "store"
    type: str | None = None
    """How the text becomes a value, by the names in `values.py`; None where no text is taken."""
    nargs: int | Literal["?", "*", "+"] | None = None
    """Words that are taken, as argparse writes it; None is exactly one."""
    const: JsonValue = None
    choices: tuple[JsonValue, ...] | None = None
    registered: tuple[str, ...] = ()
    """Names that the engine knows although its parser takes any text: vLLM finds out only after it has started to load."""
    keys: tuple[str, ...] = ()
    """Keys that a JSON value may have; empty is any."""
    default: JsonValue = None
    """None also where the engine computes it."""
    off: tuple[str, ...] = ()
    """Spellings of a yes-or-no option that say no."""
    required: bool = False
    deprecated: bool = False
    refused: bool = False
    """The parser still knows the flag, and stops with an error that names another."""
    successor: str | None = None
    """What the engine itself names instead of a deprecated flag."""

    @property
    def takes_words(self) -> bool:
        """Whether words after the flag belong to it."""
        return self.type is not None

    @property
    def name(self) -> str:
        """The longest spelling that does not say no: the one that documentation uses."""
        return max((f for f in self.flags if f not in self.off), key=len, default=self.dest)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A snapshot's file."""

    engine: str
    version: str
    parser: Style
    taken: str
    """Where in the engine this was read."""
    options: tuple[Option, ...]


_TABLE = TypeAdapter(Table)


def read_table(data: bytes) -> Table:
    """Reads a snapshot's file.

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _TABLE.validate_json(data)
