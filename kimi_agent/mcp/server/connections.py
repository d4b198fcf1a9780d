"""Connections that do not get to the point: each request has to come in time, and who dawdles makes room for others.

uvicorn waits for ever for the rest of a request, and takes as many connections as there are. Who has no token can open them, too.
"""

import asyncio
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEADERS = 10.0  # seconds in which a request's headers have to be there
_BODY = 30.0  # seconds for its body
_MOST = 1000  # connections


class GuardedProtocol(H11Protocol):
    """One connection."""

    headers_within, body_within, most = _HEADERS, _BODY, _MOST
    _phase: Any = None
    _timer: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Where there are too many, one goes: the oldest of those that have no whole request in hand, else this one."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > min(self.most, _half_of_all_files()):
            connections: Any = self.connections
            others: list[GuardedProtocol] = [c for c in connections if c is not self and c.is_idle]
            (min(others, key=lambda c: c._since) if others else self).transport.abort()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._unwatch()
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether it can be closed without anybody's losing an answer."""
        cycle: Any = self.cycle  # None before the first request
        return not self.transport.is_closing() and (cycle is None or cycle.response_complete or cycle.more_body)

    def _watch(self) -> None:
        """One clock for the headers, one for the body; what is sent little by little does not set them back."""
        phase = self.conn.their_state
        if phase is self._phase:
            return
        self._unwatch()
        self._phase = phase
        if phase in (h11.IDLE, h11.SEND_BODY):
            self._since = self.loop.time()
            patience = self.headers_within if phase is h11.IDLE else self.body_within
            self._timer = self.loop.call_later(patience, self.transport.abort)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _half_of_all_files() -> int:
    """Of those that the process may have open: the other half is for its tools."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(soft // 2, 1)
