"""The snapshots that are shipped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from pydantic import JsonValue

from .checking import examine
from .errors import FlagError
from .known import known
from .options import Option, Table, read_table
from .problems import Problem, nearest

__all__ = ["Parsed", "Snapshot", "load", "versions"]

_HERE = files("kimi_backend.engines.flags")
_PYTHON = r"python[\d.]*"
_SGLANG = ((_PYTHON, "-m", r"sglang\.launch_server"), ("sglang", "serve"))
_MOST_WORDS, _LONGEST_WORD = 2000, 131_072
"""The second is Linux's own limit (MAX_ARG_STRLEN); the first bounds how long a stranger's command is looked at."""
_RANKS = "trtllm-llmapi-launch"
_PROGRAMS: Mapping[str, Sequence[Sequence[str]]] = {
    "sglang": _SGLANG,
    "sglang-kt": _SGLANG,
    "sglang-router": ((_PYTHON, "-m", r"sglang_router\.launch_router"),),
    "vllm": (("vllm", "serve"),),
    "tensorrt-llm": tuple((*launcher, "trtllm-serve", *command) for launcher in ((_RANKS,), ()) for command in (("serve",), ())),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of a command line by the engine's own names of them."""

    values: Mapping[str, JsonValue]
    """With defaults; None also where the engine computes one."""
    given: frozenset[str]
    """What the command line itself says."""

    def __getitem__(self, dest: str) -> JsonValue:
        return self.values[dest]

    def get(self, dest: str, default: JsonValue = None) -> JsonValue:
        """The value, or `default` where the engine has no such option."""
        return self.values.get(dest, default)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The argument parser of one version of an engine, as data. It runs nothing."""

    table: Table

    @property
    def engine(self) -> str:
        return self.table.engine

    @property
    def version(self) -> str:
        return self.table.version

    @property
    def options(self) -> tuple[Option, ...]:
        return self.table.options

    def option(self, name: str) -> Option | None:
        """The option with this flag (any full spelling) or engine's name."""
        return next((o for o in self.options if name in o.flags or name == o.dest), None)

    def arguments(self, argv: Sequence[str]) -> tuple[str, ...]:
        """What follows the program's words in a whole command.

        Raises:
            FlagError: the command starts another program.
        """
        if len(argv) > _MOST_WORDS or any(len(word) >= _LONGEST_WORD for word in argv):
            raise FlagError(f"No command has more than {_MOST_WORDS} words, or one of {_LONGEST_WORD:,} characters.")
        argv = _launched(argv) if self.engine == "tensorrt-llm" else argv
        for program in _PROGRAMS[self.engine]:
            head = [PurePosixPath(word).name if i == 0 or "trtllm" in word else word for i, word in enumerate(argv[: len(program)])]
            if len(head) == len(program) and all(re.fullmatch(p, w) for p, w in zip(program, head, strict=True)):
                return tuple(argv[len(program) :])
        wanted = " ".join(word.replace("\\", "").replace("[d.]*", "3") for word in _PROGRAMS[self.engine][0])
        raise FlagError(f"A command of {self.engine} starts with `{wanted}`, not with {' '.join(argv[:3])!r}.")

    def check(self, arguments: Sequence[str]) -> list[Problem]:
        """Every problem of what follows the program's words, in the order of the command line; [] is good."""
        return list(examine(self.table, known(self.engine), arguments).problems)

    def parse(self, arguments: Sequence[str]) -> Parsed:
        """The values of what follows the program's words.

        Raises:
            FlagError: the engine would refuse them.
        """
        outcome = examine(self.table, known(self.engine), arguments)
        if wrong := [problem.text for problem in outcome.problems if problem.severity == "error"]:
            raise FlagError(" ".join(wrong))
        return Parsed(outcome.values, outcome.given)


def _launched(argv: Sequence[str]) -> Sequence[str]:
    """What an MPI launcher starts: `mpirun -np 16 … trtllm-llmapi-launch trtllm-serve …` from its second program on."""
    if argv and PurePosixPath(argv[0]).name in ("mpirun", "srun") and _RANKS in argv:
        return argv[argv.index(_RANKS) :]
    return argv


@cache
def _shipped() -> Mapping[str, tuple[str, ...]]:
    """Versions by engine, oldest first."""
    found: dict[str, list[str]] = {}
    for entry in _HERE.joinpath("data").iterdir():
        engine, _, version = entry.name.removesuffix(".json").rpartition("-")
        found.setdefault(engine, []).append(version)
    return {engine: tuple(sorted(ones, key=lambda v: [int(n) for n in re.findall(r"\d+", v)])) for engine, ones in found.items()}


def versions(engine: str) -> tuple[str, ...]:
    """Versions of an engine that have a snapshot, oldest first; none for an unknown engine."""
    return _shipped().get(engine, ())


@cache
def load(engine: str, version: str | None = None) -> Snapshot:
    """A snapshot that is shipped.

    Args:
        engine: `sglang`, `vllm`, `sglang-kt`, `sglang-router` or `tensorrt-llm`.
        version: None is the newest.

    Raises:
        FlagError: there is none.
    """
    there = versions(engine)
    if not there:
        near = nearest(engine, list(_shipped()), 1) or sorted(_shipped())
        raise FlagError(f"No flags are known of an engine {engine!r}; known: {', '.join(near)}.")
    if version is not None and version not in there:
        raise FlagError(f"No flags are known of {engine} {version}; known versions: {', '.join(there)}.")
    return Snapshot(read_table(_HERE.joinpath("data", f"{engine}-{version or there[-1]}.json").read_bytes()))
