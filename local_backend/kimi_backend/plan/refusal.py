"""Why a plan cannot be, with the numbers, and what could."""

from __future__ import annotations

from ..errors import BackendError

__all__ = ["PlanRefused", "count"]


def count(number: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class PlanRefused(BackendError):
    """What was asked cannot fit or run.

    Attributes:
        why: sentences with the numbers.
        instead: what would work on the same cards, or on which cards it would; may be empty.
    """

    def __init__(self, why: tuple[str, ...], instead: tuple[str, ...] = ()) -> None:
        told = "this does not fit:" + "".join(f"\n  - {line}" for line in why) if len(why) > 1 else " ".join(why)
        would = "".join(f"\n  - {line}" for line in instead)
        super().__init__(told + (f"\nWhat would fit:{would}" if instead else ""))
        self.why = why
        self.instead = instead
