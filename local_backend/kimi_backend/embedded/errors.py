"""The one exception of this package."""

from __future__ import annotations

__all__ = ["EmbeddedError"]


class EmbeddedError(RuntimeError):
    """The embedded model cannot do what was asked; the message is one line that says what to do.

    Attributes:
        code: a stable word for programs, in the style of OpenAI error codes: `model_not_found`, `runtime_missing`,
            `invalid_request`, `context_length_exceeded`, `runtime_failed`, `closed`.
    """

    def __init__(self, message: str, *, code: str = "embedded_error") -> None:
        super().__init__(message)
        self.code = code
