"""One way to end a run early, whoever wants it: the clock, the caller, a tool."""

import asyncio
from contextlib import suppress
from types import TracebackType

from kimi_agent.errors import UserError

_TURNS = 10
_TAKEN = ("completed", "pending")


class CancelScope:
    """Cancels what is inside it, at a deadline or when asked, and remembers why.

    Attributes:
        reason: the stop reason if it ended what was inside, else None.
    """

    def __init__(self, wall_clock: float | None) -> None:
        """`wall_clock`: seconds from entering until it cancels; None: never by itself."""
        self.reason: str | None = None
        self._wall_clock = wall_clock
        self._wanted: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> "CancelScope":
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(0 if self._wanted else self._wall_clock)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        assert self._timeout is not None
        timeout, self._timeout = self._timeout, None
        try:
            await timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            self.reason = self._wanted or "wall_clock"
            return True
        return False

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends what is inside with this reason; from any thread, before or while it runs. Later reasons are not heard.

        Raises UserError for a reason that would say that the run had ended by itself.
        """
        if reason in _TAKEN:
            raise UserError(f"a run cannot be cancelled with the reason {reason!r}")
        self._wanted = self._wanted or reason or "cancelled"
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has closed: there is nothing left to end
                self._loop.call_soon_threadsafe(self._fire)

    @property
    def over(self) -> str | None:
        """The stop reason, if it has fired; so that a hook or a model that swallows the cancellation does not undo it."""
        if self._wanted is not None:
            return self._wanted
        return "wall_clock" if self._timeout is not None and self._timeout.expired() else None

    async def arrive(self) -> None:
        """Where it was asked to cancel just now, waits until the cancellation has come to this task: that takes some turns of the
        event loop, a few more in a task that runs inside. Goes on where somebody has swallowed it."""
        if self._wanted is None:
            return
        while self._timeout is not None and not self._timeout.expired():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def _fire(self) -> None:
        if self._timeout is not None and not self._timeout.expired() and self._loop is not None:
            self._timeout.reschedule(self._loop.time())
