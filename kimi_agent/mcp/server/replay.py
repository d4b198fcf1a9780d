"""Streams that a client may come back to (`resumable=True`): each session's last events are kept for it."""

from collections import deque
from typing import Any

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import JSONRPCMessage

_MOST_EVENTS = 256  # of one session


class SessionEvents(EventStore):
    """The last events of one session: the SDK names streams by request ids, which clients choose, so that those of several sessions
    must not lie together."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, str, JSONRPCMessage | None]] = deque(maxlen=_MOST_EVENTS)
        self._count = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keeps an event; its id."""
        self._count += 1
        self._events.append((self._count, stream_id, message))
        return str(self._count)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Sends what came after an event on its stream; the stream's name, None where the event is not known any more."""
        stream = next((s for n, s, _ in self._events if str(n) == last_event_id), None)
        if stream is None:
            return None
        for number, name, message in list(self._events):
            if name == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Sessions(StreamableHTTPSessionManager):
    """The SDK's manager, with events kept for each session by itself: it asks for the store once a session."""

    def __init__(self, *args: Any, resumable: bool, **more: Any) -> None:
        self._resumable = resumable
        super().__init__(*args, **more)

    @property
    def event_store(self) -> EventStore | None:
        """A new one each time."""
        return SessionEvents() if self._resumable else None

    @event_store.setter
    def event_store(self, value: EventStore | None) -> None:
        """The SDK sets what it was given: nothing."""
