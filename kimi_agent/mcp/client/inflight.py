"""The calls that a connection carries, so that what the server says or asks meanwhile finds the run that it belongs to.

Over HTTP, and where a server asks by way of an answer (2026-07-28), what comes belongs to one call, and a context variable tells
which. On stdio nothing tells: what comes belongs to the run whose calls are the only ones under way, or to nobody.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from kimi_agent.tooling.context import RunContext

_current: ContextVar["Flight | None"] = ContextVar("mcp_call", default=None)


@dataclass(slots=True, eq=False)
class Flight:
    """One call under way; `context` is None for a call that no run made."""

    context: RunContext[Any] | None


class Flights:
    """Those of one connection."""

    def __init__(self) -> None:
        self._under_way: list[Flight] = []

    @contextmanager
    def one(self, context: RunContext[Any] | None) -> Generator[Flight]:
        """For as long as a call goes on."""
        flight = Flight(context)
        self._under_way.append(flight)
        token = _current.set(flight)
        try:
            yield flight
        finally:
            _current.reset(token)
            self._under_way.remove(flight)

    def belongs_to(self) -> RunContext[Any] | None:
        """The context of the call that what just came belongs to; None where that cannot be told."""
        current = _current.get()
        if current is not None and current in self._under_way:
            return current.context
        contexts = [flight.context for flight in self._under_way]
        if not contexts or contexts[0] is None:
            return None
        same_run = all(c is not None and c.run is contexts[0].run for c in contexts)
        return contexts[0] if same_run else None
