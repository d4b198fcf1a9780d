"""What the MCP SDK logs holds what servers say: here it is rid of secrets, and of what a terminal obeys. As this library's own
loggers, it is silent until a program sets a handler."""

import logging
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from typing_extensions import override

from kimi_agent.redact import RedactingFilter

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def guard_logs() -> None:
    """Sets it up, once."""
    sdk, shared = logging.getLogger("mcp"), logging.getLogger("client")
    if _HANDLER not in sdk.handlers:
        sdk.handlers.insert(0, _HANDLER)  # before those that a program has set there already
    if _OF_SESSION not in shared.filters:
        shared.addFilter(_OF_SESSION)


def _mend(record: logging.LogRecord) -> None:
    _REDACTING.filter(record)
    record.msg = _shown(record.msg)
    if record.exc_text:
        record.exc_text = _shown(record.exc_text)


def _shown(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Mending(logging.Handler):
    """Writes nothing. A logger's filters do not see what its children log, and its handlers do, before those of the root."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        _mend(record)


class _OfSession(logging.Filter):
    """`mcp.client.session` logs as "client", which may be a name of the program's own: its records stay as they are."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not record.pathname.startswith(_place_of_sdk()):
            return True
        _mend(record)
        return logging.getLogger(record.name).hasHandlers()  # else Python prints it on standard error


@lru_cache(maxsize=1)
def _place_of_sdk() -> str:
    spec = find_spec("mcp")
    return str(Path(spec.origin).parent) if spec is not None and spec.origin else "mcp"


_REDACTING = RedactingFilter()
_HANDLER, _OF_SESSION = _Mending(), _OfSession()
