"""A script of ours read back: variables, and one program that it becomes. Nothing of it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..launch import Invocation
from .bash import logical_lines, read_words
from .errors import RenderError
from .keys import FIXED_LINES, is_export_line, split_config, unwrap
from .mpi import unmpirun

__all__ = ["Script", "files_named", "is_path_line", "read_script"]

FIXED = {"set -euo pipefail", 'cd "$(dirname "${BASH_SOURCE[0]}")"', *FIXED_LINES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a script starts."""

    invocation: Invocation
    key_file: str | None
    nodes: int
    """On how many nodes its launcher starts it; 1 without a launcher."""


def read_script(name: str, text: str, values: Mapping[str, str], others: Mapping[str, str]) -> Script:
    """What a script would start.

    Args:
        name: the file's name, for errors.
        text: the script.
        values: what its variables are worth.
        others: configuration files that may stand beside it.

    Raises:
        RenderError: a line does something else than setting variables and starting one program.
    """
    env: dict[str, str] = {}
    argv: list[str] = []
    key: str | None = None
    for number, line in logical_lines(text):
        try:
            if argv:
                raise RenderError("nothing may follow the exec line.")
            if line in FIXED or is_export_line(line) or is_path_line(line):
                continue
            if line.startswith("api_key=$(< ") and line.endswith(")"):
                key = " ".join(read_words(line.removeprefix("api_key=$(<").removesuffix(")"), values))
            elif line.startswith("export "):
                env |= dict(_assignment(word) for word in read_words(line, values)[1:])
            elif line.startswith("exec "):
                argv = read_words(split_config(line), values)[1:]
            else:
                raise RenderError(f"{line!r} is no export and no exec line, which is all that kimi-backend reads back.")
        except RenderError as problem:
            raise RenderError(f"{name}, line {number}: {problem}") from problem
    if not argv:
        raise RenderError(f"{name}: no exec line, so it starts nothing.")
    words, nodes = unmpirun(argv)
    words, router_key = unwrap(words)
    return Script(
        invocation=Invocation(argv=tuple(words), env=env, files=files_named(words, others)), key_file=key or router_key, nodes=nodes
    )


def is_path_line(line: str) -> bool:
    """Whether a line puts one folder before PATH, and does nothing else.

    Raises:
        RenderError: it has something else than words.
    """
    return line.startswith("export PATH=") and line.endswith(':"$PATH"') and len(read_words(line, {"PATH": ""})) == 2


def files_named(argv: list[str], others: Mapping[str, str]) -> dict[str, str]:
    """The configuration files that a command names."""
    return {name: text for name, text in others.items() if name in argv}


def _assignment(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise RenderError(f"{word!r} sets no variable.")
    return name, value
