"""`kimi-backend flags`: would the engine's own parser take this command?"""

from __future__ import annotations

import re
import shlex
import sys
from itertools import dropwhile
from typing import Annotated

import typer

from ..engines import ENGINES, engine_of, router
from .failing import told

__all__ = ["flags"]

_LINE_GOES_ON = re.compile(r"(?<!\\)((?:\\\\)*)\\\r?\n")
"""A backslash at the end of a line: a shell takes both away, and Python's shlex keeps the line's end."""
_SETS = re.compile(r"[A-Za-z_]\w*=.*", re.ASCII | re.DOTALL)
"""A variable set before a command: `NCCL_DEBUG=INFO vllm serve`."""


@told
def flags(
    command: Annotated[list[str] | None, typer.Argument(help="The command after --; without it, standard input.")] = None,
) -> None:
    """Check a command of an engine against that engine's own parser: unknown, removed, deprecated and mistyped flags.

    `kimi-backend flags -- python3 -m sglang.launch_server --model-path k2 --enable-ep-moe`
    """
    argv = list(dropwhile(_SETS.fullmatch, command or _words(sys.stdin.read())))
    title, found = _checked(argv)
    for problem in found:
        typer.echo(problem)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{title} takes it")


def _checked(argv: list[str]) -> tuple[str, list[str]]:
    """The program that the command starts, and what is wrong with the command."""
    if any(word.startswith("sglang_router") for word in argv[:3]):
        return "sglang-router", router.check(argv)
    name = engine_of(argv)
    traits = ENGINES[name].traits
    return f"{traits.title} {traits.version}", ENGINES[name].check(argv)


def _words(text: str) -> list[str]:
    """The words as a shell would see them; nothing is expanded or run."""
    try:
        found = shlex.split(_LINE_GOES_ON.sub(r"\1", text), comments=True)
    except ValueError as error:
        raise typer.BadParameter(f"the command is not whole: {error}") from error
    if not found:
        raise typer.BadParameter("give a command after --, or on standard input")
    return found
