"""The model of a command, with a progress bar for an embedded one that has to be fetched first."""

import sys
import threading

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text as Styled

from kimi_agent.cli.options import is_terminal
from kimi_agent.models.base import Model
from kimi_agent.models.embedded import EmbeddedModel, Progress
from kimi_agent.models.resolve import explain_model, resolve_model
from kimi_agent.observe.plain import plain
from kimi_agent.observe.waiting import lend_screen


def model_for(spec: str | None) -> Model:
    """As `resolve_model`; an embedded model shows its download on standard error. Raises UserError."""
    model = resolve_model(spec)
    if isinstance(model, EmbeddedModel):
        why = "" if spec else f" ({explain_model(spec).partition(': ')[2]})"
        Console(stderr=True, highlight=False).print(Styled(f"the embedded model answers, on this CPU{why}", "dim"), soft_wrap=True)
        model.show_progress(_Bar() if is_terminal(sys.stderr) else notes_of_progress())
    return model


def notes_of_progress() -> Progress:
    """Where no bar can be drawn: a line on standard error at the start, and one at each tenth."""
    return _Notes()


class _Notes:
    """Called from the thread that fetches."""

    def __init__(self) -> None:
        self._said: tuple[str, int] | None = None
        self._lock = threading.Lock()

    def __call__(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        with self._lock:
            if self._said == (what, tenth):
                return
            self._said = (what, tenth)
            share = f"{10 * tenth} % of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
            typer.echo(f"{plain(what)}: {share}", err=True)


class _Bar:
    """A bar that appears with the first byte and goes with the last."""

    def __init__(self) -> None:
        self._progress: Bar | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            if self._progress is None:
                self._progress = Bar(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    DownloadColumn(),
                    TimeRemainingColumn(),
                    console=Console(stderr=True),
                    transient=True,
                )
                lend_screen(True)
                self._progress.start()
            if self._task is None:
                self._task = self._progress.add_task(what, total=total)
            self._progress.update(self._task, description=what, completed=done, total=total)
            if total and done >= total:
                self._progress.stop()
                self._progress, self._task = None, None
                lend_screen(False)
