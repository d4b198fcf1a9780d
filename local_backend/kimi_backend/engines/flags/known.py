"""What older recipes still write: flags that an engine has removed or renamed, and flags that need another one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

__all__ = ["Change", "Known", "known"]

_HERE = files("kimi_backend.engines.flags")


@dataclass(frozen=True, slots=True)
class Change:
    """A flag that went or will go."""

    successor: str | None
    """What to write instead; None is nothing at all."""
    source: str
    """Where it was seen."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one engine beside its parser."""

    removed: dict[str, Change]
    """Flags that it had; they count only where a version's own parser has them no more."""
    older: dict[str, Change]
    """Flags that it still takes, under an older name."""
    needs: dict[str, str]
    """Flags that it takes only beside another one, which its parser does not check."""


@cache
def _all() -> dict[str, Known]:
    return TypeAdapter(dict[str, Known]).validate_json(_HERE.joinpath("known.json").read_bytes())


def known(engine: str) -> Known:
    """What is known of an engine; nothing of one that has no entry."""
    return _all().get(engine, Known({}, {}, {}))
