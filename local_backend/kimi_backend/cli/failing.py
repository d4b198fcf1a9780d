"""Errors that a user can mend, as one message on standard error and exit code 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import typer

from ..errors import BackendError

__all__ = ["failed", "told"]

P = ParamSpec("P")
R = TypeVar("R")


def told(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose `BackendError`s and errors of the operating system are told, not thrown."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (BackendError, OSError) as error:
            raise failed(error) from error

    return run


def failed(error: Exception) -> typer.Exit:
    """Tells the error, and is what ends the command."""
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)
