"""A progress bar for the download of a model."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from .catalogue import cached_path
from .fetch import obtain

__all__ = ["obtain_with_bar"]


def obtain_with_bar(model: str = "default") -> Path:
    """`fetch.obtain` with a bar on standard error; silent when the file is in the cache."""
    if cached_path(model):
        return obtain(model)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("looking for a source", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        return obtain(model, progress=show)
