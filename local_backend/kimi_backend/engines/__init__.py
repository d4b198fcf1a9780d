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


_OLD_PROGRAMS = {
    "sglang.srt.disaggregation.": "SGLang's own balancer became `python3 -m sglang_router.launch_router --pd-disaggregation`.",
    "ktransformers/server/main.py": "sglang-kt serves KTransformers now: `python3 -m sglang.launch_server --kt-weight-path …`.",
    "vllm.entrypoints.": "vLLM is started with `vllm serve MODEL`.",
}
"""Programs that older recipes start."""


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
    instead = next((f" {text}" for old, text in _OLD_PROGRAMS.items() if any(old in word for word in argv[:3])), "")
    raise FlagError(f"No engine known here is started by {' '.join(argv[:3])!r}.{instead}")
