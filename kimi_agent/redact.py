"""Secrets stay out of logs, errors and reprs. The library logs under "kimi_agent", silent until a handler is set."""

import logging
import re

_MASK = "***"
_SHORTEST = 8  # shorter "secrets", such as "none" or "EMPTY", are words that texts may hold

_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{_MASK}"),
    (re.compile(r"\b(sk|pk|rk|ak)-[A-Za-z0-9_*.-]{6,}"), rf"\1-{_MASK}"),
    (re.compile(r"(?i)([?&](?:api[_-]?key|key|(?:access_)?token|secret|signature|password)=)[^&\s\"'#]+"), rf"\1{_MASK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s:@]*(?::[^/\s@]*)?@"), rf"\1{_MASK}@"),
    (re.compile(r"(?i)([\"']?(?:authorization|api[_-]?key|x-api-key)[\"']?\s*[:=]\s*[\"'])[^\"']+"), rf"\1{_MASK}"),
    (re.compile(r"(?i)\b([\w-]*api[_-]?key\s*[:=]\s*)(?!\*)[^\s\"'&,;)}\]]{6,}"), rf"\1{_MASK}"),
    (re.compile(r"(?i)(\bauthorization\s*[:=]\s*(?!bearer|basic)(?:\w+\s+)?)(?!\*)[^\s\"',;)}\]]{6,}"), rf"\1{_MASK}"),
    (re.compile(r"\b(gh[opsu]|github_pat|hf|xox[abp])_[A-Za-z0-9_]{10,}"), rf"\1_{_MASK}"),
)
_secrets: set[str] = set()


def register_secret(secret: str | None) -> None:
    """Has `redact` mask this very string from now on. Strings below 8 characters are not taken."""
    if secret and len(secret) >= _SHORTEST:
        _secrets.add(secret)


def redact(text: str) -> str:
    """`text` with keys, bearer tokens, credentials in URLs and every registered secret masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, _MASK)
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text


class RedactingFilter(logging.Filter):
    """Redacts a record's message and traceback before any handler sees them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True."""
        record.msg = redact(record.getMessage())
        record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


_FILTER = RedactingFilter()


def get_logger(name: str) -> logging.Logger:
    """The logger of a module of this library. A parent's filters do not see a child's records: each has its own."""
    logger = logging.getLogger(name)
    if _FILTER not in logger.filters:
        logger.addFilter(_FILTER)
    return logger


get_logger("kimi_agent").addHandler(logging.NullHandler())
