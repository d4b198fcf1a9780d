"""Calls that wait for their client's answers: how many there may be, and where those are kept whose client is to come back."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import mcp_types as types
from mcp.shared.exceptions import MCPError

from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.eras import Request, source_of

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

Identity: TypeAlias = tuple[str, str, str, str | None]
_MOST = 1000
_MOST_OF_ONE = 250


class Asking:
    """The calls that have asked their client something, until they end. A new one is refused where they are too many: those that
    are there may be somebody's answer away from their end."""

    def __init__(self, most: int = _MOST, most_of_one: int = _MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._sources: dict[ServedCall, str] = {}
        self._count: Counter[str] = Counter()

    def admit(self, call: "ServedCall", request: Request) -> None:
        """Raises ClientRefused."""
        if call in self._sources:
            return
        source = source_of(request)
        if len(self._sources) >= self._most or self._count[source] >= self._most_of_one:
            raise ClientRefused("too many calls wait for their clients' answers already: make the call again later")
        self._sources[call] = source
        self._count[source] += 1

    def forget(self, call: "ServedCall") -> None:
        """The call has ended."""
        if (source := self._sources.pop(call, None)) is not None:
            self._count[source] -= 1
            if not self._count[source]:
                del self._count[source]


@dataclass(frozen=True, slots=True)
class _Parked:
    call: "ServedCall"
    request: Identity
    timer: asyncio.TimerHandle


class Parked:
    """Calls whose questions went out as an answer (modern era), by the unguessable name under which their client finds them."""

    def __init__(self, patience: float, give_up: Callable[["ServedCall"], object]) -> None:
        """`patience`: seconds, after which `give_up` is called."""
        self._patience, self._give_up = patience, give_up
        self._parked: dict[str, _Parked] = {}

    def park(self, call: "ServedCall", identity: Identity) -> str:
        """Keeps a call until its client comes back with answers; its name."""
        state = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._patience, self._forget, state)
        self._parked[state] = _Parked(call, identity, timer)
        return state

    def take_up(self, state: str, identity: Identity) -> "ServedCall":
        """Raises MCPError."""
        parked = self._parked.get(state)
        if parked is None or parked.request != identity:  # one text for all: a guess learns nothing
            raise MCPError(types.INVALID_PARAMS, "Invalid or expired requestState")
        del self._parked[state]
        parked.timer.cancel()
        return parked.call

    def clear(self) -> None:
        """Nobody can come back any more."""
        for parked in self._parked.values():
            parked.timer.cancel()
        self._parked.clear()

    def _forget(self, state: str) -> None:
        if (parked := self._parked.pop(state, None)) is not None:
            self._give_up(parked.call)
