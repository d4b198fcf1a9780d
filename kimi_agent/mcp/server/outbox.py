"""What a call tells its client while it runs: progress and log messages, in order, as many as the client takes."""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args

import anyio
import mcp_types as types
from mcp.server.connection import allowed_log_levels

from kimi_agent.mcp.server.content import masked
from kimi_agent.mcp.server.eras import Request, is_modern, session_of

LEVELS: Final[tuple[str, ...]] = get_args(types.LoggingLevel)
_MOST = 1000  # a tool may report faster than its client reads: the oldest go


@dataclass(frozen=True, slots=True)
class Progress:
    """A tool's report, as it gave it."""

    text: str
    progress: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class Note:
    """A log message of a tool."""

    level: str
    text: str
    source: str


class Outbox:
    """Filled from any thread, emptied by the round that serves the call."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._waiting: deque[Progress | Note] = deque(maxlen=_MOST)
        self._wake = wake
        self._reached = -1.0

    def put(self, item: Progress | Note) -> None:
        """Adds something to be sent."""
        self._waiting.append(item)
        self._wake()

    async def send(self, request: Request) -> None:
        """Sends what waits. A client that is gone is not told, and that is no error."""
        while self._waiting:
            item = self._waiting.popleft()
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                if isinstance(item, Progress):
                    await request.session.report_progress(*self._rising(item))
                elif item.level in _levels(request):
                    await _send_note(request, item)

    def _rising(self, item: Progress) -> tuple[float, float | None, str | None]:
        """The protocol wants a number that rises with each notification; what a tool gives may fall, or be words only."""
        text = masked(item.text) or None
        if item.progress is not None and item.progress > self._reached:
            self._reached = item.progress
            return item.progress, item.total, text
        self._reached += 1
        return self._reached, None, text


def _levels(request: Request) -> frozenset[str]:
    """What this client wants to hear of."""
    if is_modern(request):
        return frozenset(allowed_log_levels(request.protocol_version, request.meta))
    least = request.lifespan_context.levels.get(session_of(request), "info")
    return frozenset(LEVELS[LEVELS.index(least) :])


async def _send_note(request: Request, note: Note) -> None:
    values: dict[str, Any] = {"level": note.level, "data": masked(note.text), "logger": masked(note.source) or None}
    message = types.LoggingMessageNotification(params=types.LoggingMessageNotificationParams(**values))
    await request.session.send_notification(message, related_request_id=request.request_id)
