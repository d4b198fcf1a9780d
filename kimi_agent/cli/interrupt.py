"""Ctrl-C while something else than the prompt has the terminal."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from kimi_agent.cli.exits import INTERRUPTED


@contextmanager
def on_interrupt(act: Callable[[], object], *, patience: int = 1) -> Generator[None]:
    """The first Ctrl-C inside calls `act`; the one after `patience` of them cancels the task that waits here, and the next one
    ends the process at once, whatever a tool does that will not be cancelled."""
    loop, waiting = asyncio.get_running_loop(), asyncio.current_task()
    presses = 0

    def heard() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            loop.call_soon_threadsafe(act)
        elif presses == patience + 1 and waiting is not None:
            loop.call_soon_threadsafe(waiting.cancel)
        elif presses > patience + 1:
            _leave_at_once()

    with _handler(heard):
        yield


@contextmanager
def not_interrupted() -> Generator[None]:
    """A Ctrl-C that comes when nothing is under way, such as right behind the end of an answer, ends nothing."""
    with _handler(lambda: None):
        yield


@contextmanager
def _handler(heard: Callable[[], object]) -> Generator[None]:
    def handle(_number: int, _frame: object) -> None:
        heard()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _leave_at_once() -> None:
    """The terminal echoes and shows its cursor again; nothing else is waited for."""
    with suppress(Exception):
        import termios

        modes = termios.tcgetattr(sys.stdin)
        modes[0] |= termios.ICRNL
        modes[3] |= termios.ECHO | termios.ICANON | termios.ISIG
        termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)
        os.write(2, b"\x1b[?25h\n")
    os._exit(INTERRUPTED)
