"""`run_sync`: one event loop in a thread of its own, per process, for callers that have none or must not touch theirs."""

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kimi_agent.errors import UserError
from kimi_agent.redact import get_logger

T = TypeVar("T")
_log = get_logger(__name__)


class BackgroundLoop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kimi-agent-loop", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine to its end, in the caller's context variables. Ctrl-C cancels it, waits for it, and is raised then.

        Raises UserError on the loop's own thread, where waiting would be for ever.
        """
        if threading.current_thread() is self._thread:
            raise UserError("run_sync was called from inside a run, on its event loop: use `await agent.run(…)` there")
        started = threading.Event()
        done = threading.Event()
        tasks: list[asyncio.Task[T]] = []
        context = contextvars.copy_context()

        def start() -> None:
            tasks.append(self._loop.create_task(main(), context=context))
            tasks[0].add_done_callback(lambda _: done.set())
            started.set()

        self._loop.call_soon_threadsafe(start)
        try:
            _wait(done)
        except BaseException:
            started.wait()
            self._loop.call_soon_threadsafe(tasks[0].cancel)
            _wait(done)
            raise
        return tasks[0].result()

    @property
    def usable(self) -> bool:
        """Whether it runs, in this process."""
        return self.pid == os.getpid() and self._thread.is_alive()

    def close(self) -> None:
        """Ends what runs, closes what the loop's resources hold open, and stops."""
        if self.pid != os.getpid() or self._loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop).result(timeout=5)
        except TimeoutError:
            _log.warning("a tool does not let itself be cancelled: the process ends without it")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_up(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()


def _wait(event: threading.Event) -> None:
    """In pieces: on Windows, Ctrl-C does not interrupt a wait without an end."""
    while not event.wait(0.5):
        pass


_shared: BackgroundLoop | None = None
_lock = threading.Lock()


def background_loop() -> BackgroundLoop:
    """The process's loop; a forked child gets its own."""
    global _shared
    with _lock:
        if _shared is None or not _shared.usable:
            _shared = BackgroundLoop()
        return _shared
