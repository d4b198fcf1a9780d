"""The model of a command, with a progress bar for an embedded one that has to be fetched first."""

import threading

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text as Styled

from kimi_agent.models.base import Model
from kimi_agent.models.embedded import EmbeddedModel
from kimi_agent.models.resolve import explain_model, resolve_model


def model_for(spec: str | None) -> Model:
    """As `resolve_model`; an embedded model shows its download on standard error. Raises UserError."""
    model = resolve_model(spec)
    if isinstance(model, EmbeddedModel):
        why = "" if spec else f" ({explain_model(spec).partition(': ')[2]})"
        Console(stderr=True, highlight=False).print(Styled(f"the embedded model answers, on this CPU{why}", "dim"), soft_wrap=True)
        model.show_progress(_Bar())
    return model


class _Bar:
    """A bar that appears with the first byte and goes with the last."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()

    def __call__(self, what: str, done: int, total: int) -> None:
        with self._lock:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    DownloadColumn(),
                    TimeRemainingColumn(),
                    console=Console(stderr=True),
                    transient=True,
                )
                self._progress.start()
            if self._task is None:
                self._task = self._progress.add_task(what, total=total)
            self._progress.update(self._task, description=what, completed=done, total=total)
            if total and done >= total:
                self._progress.stop()
                self._progress, self._task = None, None
