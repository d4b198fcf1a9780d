"""The engines behind one interface: what they can do, how they are started, and what a command of theirs means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ..launch import EngineName
from .base import Engine, Traits
from .command import CommandEngine, Start
from .flags import FlagError
from .ktransformers import KTransformers
from .sglang import SGLang
from .tensorrt_llm import TensorRTLLM
from .vllm import VLLM

__all__ = ["ENGINES", "CommandEngine", "Engine", "FlagError", "Start", "Traits", "engine", "engine_of"]

_ALL: tuple[CommandEngine, ...] = (SGLang(), VLLM(), KTransformers(), TensorRTLLM())
ENGINES: Mapping[EngineName, CommandEngine] = MappingProxyType({each.name: each for each in _ALL})


def engine(name: EngineName) -> CommandEngine:
    """The engine of that name.

    Raises:
        FlagError: there is none.
    """
    try:
        return ENGINES[name]
    except KeyError:
        raise FlagError(f"There is no engine {name!r}; there are {', '.join(ENGINES)}.") from None


def engine_of(argv: Sequence[str]) -> EngineName:
    """Which engine a whole command starts.

    Raises:
        FlagError: none of them.
    """
    fork = any(word.startswith("--kt-") for word in argv)  # it goes by SGLang's name, so only its own flags tell
    for name, each in ENGINES.items():
        if each.is_started_by(argv) and fork in (False, name == "ktransformers"):
            return name
    raise FlagError(f"No engine known here is started by {' '.join(argv[:3])!r}.")
