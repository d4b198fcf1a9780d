"""`kimi-backend flags`: would the engine's own parser take this command?"""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from ..engines import ENGINES, engine_of
from .failing import told

__all__ = ["flags"]


@told
def flags(
    command: Annotated[list[str] | None, typer.Argument(help="The command after --; without it, standard input.")] = None,
) -> None:
    """Check a command of an engine against that engine's own parser: unknown, removed, deprecated and mistyped flags.

    `kimi-backend flags -- python3 -m sglang.launch_server --model-path k2 --enable-ep-moe`
    """
    argv = command or _words(sys.stdin.read())
    name = engine_of(argv)
    found = ENGINES[name].check(argv)
    for problem in found:
        typer.echo(problem)
    if found:
        raise typer.Exit(1)
    traits = ENGINES[name].traits
    typer.echo(f"{traits.title} {traits.version} takes it")


def _words(text: str) -> list[str]:
    """The words as a shell would see them; nothing is expanded or run."""
    try:
        found = shlex.split(text, comments=True)
    except ValueError as error:
        raise typer.BadParameter(f"the command is not whole: {error}") from error
    if not found:
        raise typer.BadParameter("give a command after --, or on standard input")
    return found
