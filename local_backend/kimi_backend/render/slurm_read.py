"""A Slurm script read back: its functions, and how many nodes run each. Nothing of it is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..launch import Invocation
from .bash import logical_lines, read_words
from .errors import RenderError
from .found import MOST_NODES, Found
from .instances import LABELS, UNKNOWN
from .keys import CONFIG_FILE, FIXED_LINES, is_export_line, unwrap
from .script import files_named, is_path_line
from .slurm import ADDRESS_OF, END, NAMES_OF, NODES

__all__ = ["read_slurm"]

FUNCTION = re.compile(r"([a-z][a-z0-9_]*)\(\) \{")
SRUN = re.compile(r"head=\$head(?:_[0-9]+)? srun --nodes=([0-9]{1,9}) .*; ([a-z][a-z0-9_]*)\"(?: &)?")
WHERE = re.compile(r'echo "Clients reach port [0-9]+ on \$head(?:_0)?(?:, from that node only)?\."')
HEAD = re.compile(r'head(?:_[0-9]+)?=\$\(address_of "\$\{nodes\[[0-9]+\]\}"\)')
DIRECTIVE = re.compile(r"#SBATCH --(nodes|gpus-per-node)=([0-9]{1,9})\s*")
COMMAND = "command=("
FIXED = {
    *("set -euo pipefail", "rank=$SLURM_PROCID", "host=$head", "trap : TERM", '"${command[@]}"', "exit", 'exec "${command[@]}"'),
    *("if ((rank == 0)); then", "if ((rank > 0)); then", "else", "fi", f'exec "${{command[@]}}" --config {CONFIG_FILE}'),
}
OWN = {"address_of": tuple(ADDRESS_OF.split("\n")[2:-1]), "names_of": tuple(NAMES_OF.split("\n")[1:-1])}
"""Functions that find addresses, which are no instance's."""


@dataclass(slots=True)
class _Job:
    """The script in parts."""

    directives: dict[str, int] = field(default_factory=dict[str, int])
    functions: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    steps: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])


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
    try:
        job = _parts(text)
    except RenderError as problem:
        raise RenderError(f"{where}: {problem}") from problem
    if not job.steps or any(name not in job.functions for name, _ in job.steps):
        raise RenderError(f"{where}: no srun line that runs one of its own functions, such as serve.")
    nodes = sum(count for _, count in job.steps)
    if job.directives.get("nodes", nodes) != nodes or nodes > MOST_NODES:
        raise RenderError(f"{where}: the job asks for {job.directives.get('nodes')} nodes, and its srun lines use {nodes}.")
    gpus = job.directives.get("gpus-per-node")
    found = [_found(where, name, job.functions[name], count, others, gpus) for name, count in sorted(job.steps, key=_place)]
    router = job.functions.get("router")
    return found, _found(where, "router", router, 1, {}, None) if router is not None else None


def _parts(text: str) -> _Job:
    """Functions and steps; any other line must be one that `write_slurm` writes, so that nothing is left unread."""
    job = _Job()
    name: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if name is not None:
            if line == "}":
                name = None
            else:
                job.functions[name].append(line)
        elif match := FUNCTION.fullmatch(line):
            if match[1] in job.functions:
                raise RenderError(f"line {number}: the function {match[1]} is there twice.")
            job.functions[name := match[1]] = []
        elif match := SRUN.fullmatch(line):
            job.steps.append((match[2], int(match[1])))
        elif match := DIRECTIVE.fullmatch(line):
            job.directives[match[1]] = int(match[2])
        elif not _is_ours(line):
            raise RenderError(f"line {number}: {line!r} is no line of kimi-backend's, so what the job does cannot be told.")
    for own, body in OWN.items():
        if tuple(job.functions.pop(own, body)) != body:
            raise RenderError(f"the function {own} was changed, so the nodes' addresses cannot be told.")
    return job


def _is_ours(line: str) -> bool:
    """Whether a line outside the functions changes nothing of what is started."""
    if not line.strip() or line.startswith("#") or line in (NODES, "set -euo pipefail", "router &", *END):
        return True
    if HEAD.fullmatch(line) or WHERE.fullmatch(line):
        return True
    return line.startswith("module ") and len(read_words(line, {})) > 1


def _place(step: tuple[str, int]) -> tuple[int, int]:
    label, _, number = step[0].partition("_")
    order = list(LABELS.values())
    return (order.index(label), int(number)) if label in order and number.isdecimal() else (-1, 0)


def _found(where: str, name: str, body: list[str], nodes: int, others: Mapping[str, str], gpus: int | None) -> Found:
    try:
        parts = _body(body)
        commands = [_rank(parts, rank, others) for rank in range(nodes)]
        key_file = read_words(parts.key, {})[0] if parts.key else None
    except RenderError as problem:
        raise RenderError(f"{where}, function {name}: {problem}") from problem
    own = [unwrap(command.argv) for command in commands]
    invocations = tuple(
        Invocation(argv=tuple(argv), env=command.env, files=command.files) for command, (argv, _) in zip(commands, own, strict=True)
    )
    return Found(where=f"{where}, function {name}", invocations=invocations, gpus=gpus, key_file=key_file or own[0][1])


@dataclass(slots=True)
class _Body:
    """A function in parts: the head's words and the other nodes', variables, and the key's file."""

    arrays: list[list[str]] = field(default_factory=list[list[str]])
    exports: list[str] = field(default_factory=list[str])
    key: str = ""


def _body(lines: list[str]) -> _Body:
    parts = _Body()
    inside = False
    for line in _said(lines):
        if inside and line == ")":
            inside = False
        elif inside:
            parts.arrays[-1].append(line)
        elif line == COMMAND:
            parts.arrays.append([])
            inside = True
        elif line.startswith("api_key=$(< ") and line.endswith(")"):
            parts.key = line.removeprefix("api_key=$(<").removesuffix(")")
        elif line in FIXED or line in FIXED_LINES or is_export_line(line) or is_path_line(line):
            continue
        elif line.startswith("export "):
            parts.exports.append(line)
        elif not line.startswith("module ") or len(read_words(line, {})) < 2:
            raise RenderError(f"{line!r} is no line of kimi-backend's, so what it starts cannot be told.")
    if len(parts.arrays) not in (1, 2) or inside:
        raise RenderError("there must be one array `command`, or one for the head and one for the other nodes.")
    return parts


def _said(lines: list[str]) -> Iterator[str]:
    return (line for _, line in logical_lines("\n".join(lines)))


def _rank(parts: _Body, rank: int, others: Mapping[str, str]) -> Invocation:
    values = {"rank": str(rank), "head": f"head.{UNKNOWN}", "host": "127.0.0.1"}
    words = parts.arrays[min(rank, len(parts.arrays) - 1)]
    used = sum(line.count("head_") for line in words)
    values |= {f"head_{at}": f"head-{at}.{UNKNOWN}" for at in range(used)}
    argv = [word for line in words for word in read_words(line, values)]
    pairs = [word.partition("=") for line in parts.exports for word in read_words(line, values)[1:]]
    return Invocation(argv=tuple(argv), env={name: value for name, _, value in pairs}, files=files_named(argv, others))
