"""A user's module whose annotations are text, and name things that exist for the type checker only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kimi_agent import RunContext, tool

if TYPE_CHECKING:
    from elsewhere import Database, Weather  # type: ignore[import-not-found]


@tool
def forecast(ctx: RunContext[Database], place: Place, unit: Literal["c", "f"] = "c") -> Weather:
    """The weather to come."""
    return f"{ctx.deps} {place!r} {unit}"


@dataclass
class Place:
    """Defined behind the function that wants it."""

    city: str
    near: list[Place] | None = None


@tool
def unresolved(place: Database) -> str:
    """Cannot be told what it takes."""
    return str(place)
