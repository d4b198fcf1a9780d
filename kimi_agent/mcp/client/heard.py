"""What has come back of a call before its answer: a sign that the server has it, and how many questions to the user it has open."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_current: ContextVar["Heard | None"] = ContextVar("mcp_heard", default=None)


@dataclass(slots=True)
class Heard:
    """Of one call.

    Attributes:
        anything: whether the server has shown that it has the call: by progress, or by asking something. It is not sent again then.
        questions: of it to the user that are open: its clock stands still meanwhile.
    """

    anything: bool = False
    questions: int = 0


@contextmanager
def listening() -> Generator[Heard]:
    """For as long as a call goes on."""
    heard = Heard()
    token = _current.set(heard)
    try:
        yield heard
    finally:
        _current.reset(token)


def of_this_call() -> Heard | None:
    """What is kept of the call that something has just come for; None where that cannot be told, as on stdio."""
    heard = _current.get()
    if heard is not None:
        heard.anything = True
    return heard
