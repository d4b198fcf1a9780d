"""`kimi-backend`: plan, write out and check an engine for Kimi K2; look at and convert checkpoints; the embedded model."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from .checkpoint import checkpoint
from .embedded import fetch, serve
from .flags import flags
from .plan import plan
from .render import read, render

__all__ = ["app", "main"]

app = typer.Typer(
    name="kimi-backend", help="Engines on machines of your own.", no_args_is_help=True, pretty_exceptions_enable=False
)


@app.callback()
def group() -> None:
    """Engines on machines of your own."""


app.command()(plan)
app.command()(render)
app.command()(read)
app.command()(flags)
app.add_typer(checkpoint)
app.command()(fetch)
app.command()(serve)


def main() -> None:
    """The console script."""
    out: object = sys.stdout
    if isinstance(out, TextIOWrapper):
        # a folder's name in a terminal or pipe that has no letters for it is shown as `\u4e2d`, and does not end the command
        out.reconfigure(errors="backslashreplace")
    app()
