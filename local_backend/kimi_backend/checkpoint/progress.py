"""Progress bars for what takes minutes or hours: converting and hashing (rich)."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from .hashes import Progress

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(console: Console | None = None) -> Generator[Progress]:
    """A bar on standard error while the block runs; what it gives is the `progress` of `convert` and `hash_files`.

    Files that an earlier run finished count as done from the start, and not towards the speed.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console or Console(stderr=True)) as bar:
        task = bar.add_task("reading headers", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=escape(what), completed=done, total=total)

        yield show
