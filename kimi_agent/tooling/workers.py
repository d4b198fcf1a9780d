"""Threads for synchronous tools: a bounded pool of our own.

asyncio's default pool has cores + 4 threads, shared with everything else in the process, and the interpreter waits for its
threads at exit. Ours are daemons, and a thread whose caller has gone away (time-out, cancel) is written off: its place is free at
once, and it ends when its function does.
"""

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    function: Callable[[], Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    running: bool = False
    abandoned: bool = False


class WorkerPool:
    """Runs functions in at most `max_workers` daemon threads; more wait their turn. Serves any number of event loops."""

    def __init__(self, max_workers: int = 64) -> None:
        self._max_workers = max_workers
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0  # without those that are written off
        self._idle = 0  # of them, those that wait for a job or are about to
        self._queued = 0

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, or its exception. It sees the caller's context variables.

        A cancelled wait leaves the function running: a thread cannot be stopped.
        """
        loop = asyncio.get_running_loop()
        job = _Job(function, contextvars.copy_context(), loop, loop.create_future())
        self._submit(job)
        try:
            return await job.future
        finally:
            if not job.future.done() or job.future.cancelled():
                self._abandon(job)

    def _submit(self, job: _Job) -> None:
        with self._lock:
            self._queued += 1
            try:
                self._start_if_needed()
            except RuntimeError:  # "can't start new thread"
                if not self._threads:
                    self._queued -= 1
                    raise
            self._jobs.put(job)

    def _start_if_needed(self) -> None:
        if self._queued > self._idle and self._threads < self._max_workers:
            threading.Thread(target=self._work, name="kimi-agent-tool", daemon=True).start()
            self._threads += 1
            self._idle += 1

    def _abandon(self, job: _Job) -> None:
        with self._lock:
            job.abandoned = True
            if job.running:
                self._threads -= 1
                with contextlib.suppress(RuntimeError):
                    self._start_if_needed()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            with self._lock:
                self._queued -= 1
                if job.abandoned:
                    continue
                job.running = True
                self._idle -= 1
            result, error = _outcome(job)
            with self._lock:
                if job.abandoned:
                    return  # written off: somebody else has this place
                job.running = False
                self._idle += 1  # before the caller knows, who may bring the next job at once
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits
                job.loop.call_soon_threadsafe(_settle, job.future, result, error)
            del job, result, error  # not to be kept while there is nothing to do


class ThreadExit(Exception):
    """What a function raised that is no `Exception`; raised on an event loop, it would end the loop."""

    def __init__(self, original: BaseException) -> None:
        super().__init__(str(original))
        self.original = original


def _outcome(job: _Job) -> tuple[Any, Exception | None]:
    try:
        return job.context.run(job.function), None
    except Exception as e:
        return None, e
    except BaseException as e:  # sys.exit(), KeyboardInterrupt, a panic of an extension: ends the call, not the process
        return None, ThreadExit(e)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):  # cannot be raised into a future
        error = RuntimeError("the function raised StopIteration")
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_shared: WorkerPool | None = None


def shared_pool() -> WorkerPool:
    """The process's pool."""
    global _shared
    if _shared is None:
        _shared = WorkerPool()
    return _shared


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _shared
    _shared = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
