"""Addresses of servers hold secrets: tokens in the query, keys in the path. Of those that are known, logs tell only the host."""

import logging
import re
from urllib.parse import urlsplit

from typing_extensions import override

from kimi_agent.redact import RedactingFilter, redact

# They are other people's, and tell whole URLs: httpx2 of each request.
_LOGGERS = ("httpx2", "mcp.client.streamable_http", "mcp.client.sse", "mcp.client.auth.oauth2")
_ADDRESS = re.compile(r"(https?://[^\s/?#'\"<>]+)[/?#][^\s'\"<>]*", re.IGNORECASE)
_Origin = tuple[str, str, int | None]

_origins = set[_Origin]()


def hide_address(url: str) -> None:
    """Has `hosts_only` cut the addresses of this server from now on, and the loggers that tell of requests to it do so."""
    origin = _origin_of(url)
    if origin is None:
        return
    _origins.add(origin)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)


def hosts_only(text: str) -> str:
    """The text, redacted, and with the addresses of known servers cut behind the host: `https://mcp.example/…`. Others stay."""
    return _ADDRESS.sub(lambda found: f"{found[1]}/…" if _origin_of(found[1]) in _origins else found[0], redact(text))


def _origin_of(url: str) -> _Origin | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return (parts.scheme, parts.hostname, port) if parts.hostname else None
    except ValueError:
        return None


class _HostsOnly(RedactingFilter):
    """A program's own requests with httpx2 are told as they are, but for secrets."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hosts_only(record.getMessage()), ()
        super().filter(record)
        if record.exc_text:
            record.exc_text = hosts_only(record.exc_text)
        return True


_FILTER = _HostsOnly()
