"""What a tiny checkpoint cannot be."""

from __future__ import annotations

from ..errors import CheckpointError

__all__ = ["TinyError"]


class TinyError(CheckpointError):
    """Sizes, a script or a folder that no tiny checkpoint can be made of; the text says what to change."""
