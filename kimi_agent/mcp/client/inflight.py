"""The calls that a connection carries, so that what the server says or asks meanwhile finds the run that it belongs to.

Over HTTP, and where a server asks by way of an answer (2026-07-28), what comes belongs to one call, and a context variable tells
which. On stdio nothing tells: what comes belongs to the run whose calls are the only ones under way, or to nobody. What comes for a
call that is over belongs to nobody, and what is being done for one ends with it.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from kimi_agent.scope import CancelScope
from kimi_agent.tooling.context import RunContext

_current: ContextVar["Flight | None"] = ContextVar("mcp_call", default=None)


class CallOver(Exception):
    """What was being done for a call was cut short: the call has ended."""


@dataclass(slots=True, eq=False)
class Flight:
    """One call under way; `context` is None for a call that no run made. `errands` are being done for it."""

    context: RunContext[Any] | None
    errands: list["_Errand"] = field(default_factory=list["_Errand"])
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Errand:
    """What is done for one of these calls; it ends with the last of them."""

    flights: set[Flight]
    scope: CancelScope


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something came from: from one of these calls of a run, mostly there is one."""

    context: RunContext[Any]
    flights: tuple[Flight, ...]

    def log(self, text: str, level: str = "info", source: str = "") -> None:
        """As `RunContext.log`."""
        self.context.log(text, level, source)

    @asynccontextmanager
    async def errand(self) -> AsyncGenerator[None]:
        """For what is done for the server meanwhile. Raises CallOver where the calls end first."""
        errand = _Errand({flight for flight in self.flights if not flight.is_over}, CancelScope(None))
        if not errand.flights:
            raise CallOver
        for flight in errand.flights:
            flight.errands.append(errand)
        try:
            async with errand.scope:
                yield
            if errand.scope.reason is not None:
                raise CallOver
        finally:
            for flight in self.flights:
                if errand in flight.errands:
                    flight.errands.remove(errand)


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
            _end(flight)

    @property
    def any(self) -> bool:
        """Whether a call is under way that what just came may belong to."""
        current = _current.get()
        return current in self._under_way if current is not None else bool(self._under_way)

    def belongs_to(self) -> Origin | None:
        """The call of a run that what just came belongs to; None where that cannot be told, or no run made it."""
        current = _current.get()
        if current is not None:
            context = current.context if current in self._under_way else None
            return None if context is None else Origin(context, (current,))
        contexts = [flight.context for flight in self._under_way]
        if not contexts or contexts[0] is None:
            return None
        same_run = all(c is not None and c.run is contexts[0].run for c in contexts)
        return Origin(contexts[0], tuple(self._under_way)) if same_run else None


def _end(flight: Flight) -> None:
    flight.is_over = True
    for errand in flight.errands:
        errand.flights.discard(flight)
        if not errand.flights:
            errand.scope.cancel()
