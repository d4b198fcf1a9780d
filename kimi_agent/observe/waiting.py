"""What is under way, on the last lines of a terminal: a spinner and the seconds since it began, gone when something is drawn."""

import time
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text as Styled

from kimi_agent.observe.plain import one_line

_SHOWN_AFTER = 1.0  # seconds: shorter ones need no clock


class _Lines:
    """Drawn anew at each refresh, so that the seconds go on."""

    def __init__(self, items: Iterable[tuple[str, float]]) -> None:
        self._items = [(Spinner("dots"), what, begun) for what, begun in items]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for spinner, what, begun in self._items:
            seconds = time.monotonic() - begun
            clock = f" {seconds:.0f} s" if seconds >= _SHOWN_AFTER else ""
            spinner.update(text=Styled(f"{one_line(what, max(options.max_width - 12, 8))} …{clock}", "dim", no_wrap=True))
            yield spinner


class Waiting:
    """Shows what is under way; on a terminal only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def show(self, items: Iterable[tuple[str, float]]) -> None:
        """One line for each (what, when it began on the monotonic clock), in place of those that stand there."""
        if self._live is not None:
            self._live.update(_Lines(items))
        elif self._console.is_terminal:
            self._live = Live(_Lines(items), console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def stop(self) -> None:
        """Takes the lines away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
