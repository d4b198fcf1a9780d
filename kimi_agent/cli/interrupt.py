"""Ctrl-C while something else than the prompt has the terminal, and the signals that end a process."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

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
            _leave_at_once(INTERRUPTED)

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


@contextmanager
def leaving_in_order() -> Generator[None]:
    """SIGTERM and SIGHUP end what runs, as its own end would, and give the terminal back as it was; the exit code is 128 and the
    signal's number. The second one, and a run that does not end in time, end the process at once. A SIGHUP that is ignored
    (nohup) stays so."""
    before = _modes()

    def heard(number: int, _frame: object) -> None:
        code = 128 + number
        if ending.is_set():
            _leave_at_once(code, before)
        ending.set()
        late = threading.Timer(_PATIENCE, _leave_at_once, (code, before))
        late.daemon = True
        late.start()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise SystemExit(code) from None
        loop.call_soon_threadsafe(_exit, code)  # between the steps of tasks, none of which shall see it

    ending = threading.Event()
    numbers = [n for name in _ENDINGS if (n := getattr(signal, name, None)) and signal.getsignal(n) is not signal.SIG_IGN]
    previous = [(n, signal.signal(n, heard)) for n in numbers]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
        _restore(before)


_ENDINGS = ("SIGTERM", "SIGHUP")
_PATIENCE = 3.0  # seconds; who sends SIGTERM sends SIGKILL after ten


def _exit(code: int) -> None:
    raise SystemExit(code)


def _modes() -> list[Any] | None:
    """Of the terminal, if there is one."""
    with suppress(Exception):
        import termios

        return termios.tcgetattr(sys.stdin)
    return None


def _restore(modes: list[Any] | None) -> None:
    """Also shows the cursor, and ends the marking of pastes."""
    if modes is None:
        return
    with suppress(Exception):
        import termios

        termios.tcsetattr(sys.stdin, termios.TCSANOW, modes)
        if os.isatty(2):
            os.write(2, b"\x1b[?2004l\x1b[?25h")


def _leave_at_once(code: int, before: list[Any] | None = None) -> None:
    """The terminal echoes and shows its cursor again; nothing else is waited for."""
    modes = before or _modes()
    if modes is not None and before is None:
        with suppress(Exception):
            import termios

            modes[0] |= termios.ICRNL
            modes[3] |= termios.ECHO | termios.ICANON | termios.ISIG
    _restore(modes)
    with suppress(OSError):
        os.write(2, b"\n")
    os._exit(code)
