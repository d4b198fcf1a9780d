"""The seam between an endpoint and an HTTP client."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from kimi_agent.redact import redact


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer whose head has come. `headers` is read without regard to case; `body` gives bytes as they come."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Transport(Protocol):
    """Sends one HTTP request.

    `send` enters when the head of the answer is there, with any status; redirects are not followed. Leaving it gives the
    connection back, or closes it if the body was not read to its end. Entering and reading the body raise `ConnectionFailed` for
    everything that goes wrong on the way, and `ProviderTimeout` with phase "connect" when the connection took longer than
    `connect` seconds. All other time-outs are the caller's: cancellation must close the connection.
    """

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, connect: float | None
    ) -> AbstractAsyncContextManager[Answer]:
        """`path` is relative to the base URL, with a leading slash."""
        ...


def words_of(error: BaseException) -> str:
    """What went wrong, without the request, whose headers hold the key."""
    return redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
