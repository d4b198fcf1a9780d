"""So much a minute, at most: a sliding window."""

from collections import deque
from dataclasses import dataclass

_MINUTE = 60.0


@dataclass(slots=True, eq=False)
class Taken:
    """What was taken at a time, in seconds; `amount` may be put right later."""

    at: float
    amount: int


class PerMinute:
    """At most `limit` in any 60 seconds, counted from when each amount was taken.

    A window rather than a bucket that fills up: a full bucket and what flows in meanwhile would let nearly twice the limit through
    within one minute, which an endpoint that counts by the minute refuses.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Taken] = deque()
        self._total = 0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until this amount fits; 0.0 where it fits now. More than the limit fits when nothing else is in the window."""
        self._expire(now)
        over = self._total + min(amount, self._limit) - self._limit
        for entry in self._entries:
            if over <= 0:
                break
            over -= entry.amount
            if over <= 0:
                return entry.at + _MINUTE - now
        return 0.0

    def take(self, amount: int, now: float) -> Taken:
        """Takes it, whether it fits or not."""
        entry = Taken(now, amount)
        self._entries.append(entry)
        self._total += amount
        return entry

    def settle(self, entry: Taken, amount: int, now: float) -> None:
        """It was another amount, as has come out. What has left the window is not changed any more."""
        self._expire(now)
        if entry.at + _MINUTE > now:
            self._total += amount - entry.amount
            entry.amount = amount

    def _expire(self, now: float) -> None:
        while self._entries and self._entries[0].at + _MINUTE <= now:
            self._total -= self._entries.popleft().amount
