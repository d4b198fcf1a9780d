"""Errors that a user can mend, as one message on standard error and exit code 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer

from ..atomic import partial_of
from ..errors import BackendError
from ..plan.words import plain

__all__ = ["failed", "told"]

P = ParamSpec("P")
R = TypeVar("R")


def told(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose `BackendError`s and errors of the operating system are told, not thrown."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            raise  # whoever read us has read enough; click ends quietly
        except (BackendError, OSError) as error:
            raise failed(error) from error

    return run


def failed(error: Exception) -> typer.Exit:
    """Tells the error, and is what ends the command."""
    text = _of_the_system(error) if isinstance(error, OSError) else str(error)
    # what is quoted in it (a folder, a driver's own words) must not steer the terminal
    typer.echo("error: " + "\n".join(map(plain, text.splitlines())), err=True)
    return typer.Exit(1)


def _of_the_system(error: OSError) -> str:
    """`FILE: No such file or directory`, of the file that was named by the user and not of what is written beside it first."""
    name = error.filename2 or error.filename
    if not isinstance(name, str) or error.strerror is None:
        return str(error)
    path = Path(name)
    wanted = path.name.removeprefix(".").removesuffix(".partial")
    if wanted and partial_of(path.with_name(wanted)) == path:
        path = path.with_name(wanted)
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"{path}: there is no folder {path.parent}"
    return f"{path}: {error.strerror}"
