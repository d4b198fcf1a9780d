"""What is wrong with a checkpoint."""

from __future__ import annotations

from ..errors import BackendError

__all__ = ["CheckpointError"]


class CheckpointError(BackendError):
    """Files that are cut, missing or do not belong together; the text names the file and says what to do."""
