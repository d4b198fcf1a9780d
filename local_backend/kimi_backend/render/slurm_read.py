"""A Slurm script read back: its functions, and how many nodes run each. Nothing of it is run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..launch import Invocation
from .bash import logical_lines, read_words
from .errors import RenderError
from .found import Found
from .instances import LABELS, UNKNOWN
from .keys import unwrap
from .script import files_named

__all__ = ["read_slurm"]

FUNCTION = re.compile(r"^(\w+)\(\) \{\n(.*?)^\}$", re.DOTALL | re.MULTILINE)
SRUN = re.compile(r"\bsrun --nodes=(\d+) .*?; (\w+)\"")
GPUS = re.compile(r"^#SBATCH --gpus-per-node=(\d+)\s*$", re.MULTILINE)
ARRAY = re.compile(r"^ *command=\(\n(.*?)^ *\)$", re.DOTALL | re.MULTILINE)
KEY = re.compile(r"^ *api_key=\$\(< (.*)\)$", re.MULTILINE)


def read_slurm(files: Mapping[str, str]) -> tuple[list[Found], Found | None]:
    """The instances and the router that the job starts.

    Raises:
        RenderError: it is not exactly one script, or one that is no longer of our form.
    """
    scripts = [name for name in files if name.endswith(".sbatch")]
    if len(scripts) != 1:
        raise RenderError(f"A Slurm job is one .sbatch file; here are {len(scripts)}.")
    where, text = scripts[0], files[scripts[0]]
    others = {name: other for name, other in files.items() if name != where}
    functions = {match[1]: match[2] for match in FUNCTION.finditer(text)}
    steps = sorted(((match[2], int(match[1])) for match in SRUN.finditer(text)), key=_place)
    if not steps or any(name not in functions for name, _ in steps):
        raise RenderError(f"{where}: no srun line that runs one of its own functions, such as serve.")
    gpus = GPUS.search(text)
    found = [_found(where, name, functions[name], nodes, others, int(gpus[1]) if gpus else None) for name, nodes in steps]
    return found, _found(where, "router", functions["router"], 1, {}, None) if "router" in functions else None


def _place(step: tuple[str, int]) -> tuple[int, int]:
    label, _, number = step[0].partition("_")
    order = list(LABELS.values())
    return (order.index(label), int(number)) if label in order and number.isdecimal() else (-1, 0)


def _found(where: str, name: str, body: str, nodes: int, others: Mapping[str, str], gpus: int | None) -> Found:
    key = KEY.search(body)
    try:
        commands = [_rank(body, rank, others) for rank in range(nodes)]
        key_file = read_words(key[1], {})[0] if key else None
    except RenderError as problem:
        raise RenderError(f"{where}, function {name}: {problem}") from problem
    own = [unwrap(command.argv) for command in commands]
    invocations = tuple(
        Invocation(argv=tuple(argv), env=command.env, files=command.files) for command, (argv, _) in zip(commands, own, strict=True)
    )
    return Found(where=f"{where}, function {name}", invocations=invocations, gpus=gpus, key_file=key_file or own[0][1])


def _rank(body: str, rank: int, others: Mapping[str, str]) -> Invocation:
    values = {"rank": str(rank), "head": f"head.{UNKNOWN}", "host": "127.0.0.1"}
    values |= {f"head_{at}": f"head-{at}.{UNKNOWN}" for at in range(body.count("head_"))}
    arrays = ARRAY.findall(body)
    if len(arrays) not in (1, 2):
        raise RenderError("there must be one array `command`, or one for the head and one for the other nodes.")
    lines = (line for _, line in logical_lines(arrays[min(rank, len(arrays) - 1)]))
    argv = [word for line in lines for word in read_words(line, values)]
    exports = [
        line for _, line in logical_lines(ARRAY.sub("", body)) if line.startswith("export ") and not line.startswith("export PATH=")
    ]
    pairs = [word.partition("=") for line in exports if not line.endswith("=$api_key") for word in read_words(line, values)[1:]]
    return Invocation(argv=tuple(argv), env={name: value for name, _, value in pairs}, files=files_named(argv, others))
