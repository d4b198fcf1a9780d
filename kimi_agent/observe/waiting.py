"""What is under way, on the last lines of a terminal: a spinner and the seconds since it began, gone when something is drawn."""

import threading
import time
import weakref
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
        self._lines: _Lines | None = None

    def show(self, items: Iterable[tuple[str, float]]) -> None:
        """One line for each (what, when it began on the monotonic clock), in place of those that stand there."""
        with _screen.lock:
            self._lines = _Lines(items)
            _screen.shown.add(self)
            self.redraw()

    def stop(self) -> None:
        """Takes the lines away."""
        with _screen.lock:
            self._lines = None
            self.redraw()

    def redraw(self) -> None:
        """The lines, if there are any and nobody else has the screen."""
        if self._lines is None or _screen.lent:
            if self._live is not None:
                self._live.stop()
                self._live = None
        elif self._live is not None:
            self._live.update(self._lines)
        elif self._console.is_terminal:
            self._live = Live(self._lines, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()


class _Screen:
    """The last lines of the terminal, of which there is one, whoever draws there."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.lent = False
        self.shown: weakref.WeakSet[Waiting] = weakref.WeakSet()


_screen = _Screen()


def lend_screen(lent: bool) -> None:
    """Somebody else draws on the last lines, such as a progress bar, until they are given back. May be called from any thread."""
    with _screen.lock:
        _screen.lent = lent
        for each in list(_screen.shown):
            each.redraw()
