"""What is wrong with a command line."""

from __future__ import annotations

from ...errors import BackendError

__all__ = ["FlagError"]


class FlagError(BackendError):
    """A command line that the engine's own parser would refuse, or that asks an engine for what it has no flag for."""
