"""What a target's files start, before the engines say what it means."""

from __future__ import annotations

from dataclasses import dataclass

from ..launch import Invocation

__all__ = ["MOST_NODES", "Found"]

MOST_NODES = 4096
"""Nodes of an instance that a file may name: a number in a file must not decide how much memory reading it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One instance, as files tell it."""

    where: str
    """Name of the file or object, for errors."""
    invocations: tuple[Invocation, ...]
    """What each node runs, in rank order; without what hands over a key."""
    gpus: int | None = None
    """GPUs that each node is given, where the target says so."""
    key_file: str | None = None
    """File of the clients' key, where the target names one."""
    image: str | None = None
    """Container image, where there is one."""
