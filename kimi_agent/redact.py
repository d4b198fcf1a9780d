"""Secrets stay out of logs, errors and reprs. The library logs under "kimi_agent", silent until a handler is set."""

import logging
import re

MASK = "***"
SHORTEST = 8  # shorter "secrets", such as "none" or "EMPTY", are words that texts may hold
_LONG = 16  # characters of a cookie's value: a shorter one, such as a language, is no secret
_WINDOW = 65_536  # characters of which an excerpt is made; all of a large body would hold up the loop

_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{MASK}"),
    (re.compile(r"\b(sk|pk|rk|ak)-[A-Za-z0-9_*.-]{6,}"), rf"\1-{MASK}"),
    (re.compile(r"(?i)([?&](?:api[_-]?key|key|(?:access_)?token|secret|signature|password)=)[^&\s\"'#]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)[^/\s:@]*(?::[^/\s@]*)?@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)([\"']?(?:authorization|api[_-]?key|x-api-key)[\"']?\s*[:=]\s*[\"'])[^\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(api[_-]?key\s*[:=]\s*)(?!\*)[^\s\"'&,;)}\]]{6,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bauthorization\s*[:=]\s*(?!bearer|basic)(?:\w+\s+)?)(?!\*)[^\s\"',;)}\]]{6,}"), rf"\1{MASK}"),
    (re.compile(r"\b(gh[opsu]|github_pat|hf|xox[abp])_[A-Za-z0-9_]{10,}"), rf"\1_{MASK}"),
)
_BETWEEN_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_BEHIND_A_NAME = re.compile(r"(?:_(?:value|hash|again|confirm|confirmation|\d+)|\d+)+$")
_SECRET_NAME = re.compile(
    r"(?:pass_?word|passwd|passphrase|passcode|secret)s?$"
    r"|(?:^|_)(?:authorization|jwt|pwd|(?:set)?cookies?|credentials?)$"
    r"|(?:^|_)(?:access|refresh|auth|id|session|bearer|csrf|xsrf|security|api|bot)_?tokens?$"
    r"|api_?keys?$"
    r"|(?:^|_)(?:access|secret|private|signing|encryption|auth|master|account|license|subscription|ssh|shared|session)_?keys?$"
)
_TOKEN = re.compile(r"(?:^|_)token$")
_OPEN_TOKEN = re.compile(  # of lists that come in pages, and of vocabularies
    r"(?:^|_)(?:per|page|next|prev|previous|continuation|sync|eos|bos|pad|unk|sep|cls|stop|start|end|first|last|max|min|special)_token$"
)
_secrets: set[str] = set()


def register_secret(secret: str | None) -> None:
    """Has `redact` mask this very string from now on. Strings below 8 characters are not taken."""
    if secret and len(secret) >= SHORTEST:
        _secrets.add(secret)


def register_header(name: str, value: str) -> None:
    """Registers the value of a header whose name says that it is a secret; of an authorization, what stands behind the scheme."""
    if not is_secret_name(name):
        return
    register_secret(value.rpartition(" ")[2] if name.lower().endswith("authorization") else value)
    if name.lower().endswith("cookie"):
        for cookie in value.split(";"):
            register_secret(cookie.strip())
            register_secret(told if len(told := cookie.partition("=")[2].strip()) >= _LONG else None)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name (of a header, a JSON field, a parameter) is a secret: `client_secret`, `accessToken`,
    `X-Api-Key`, `db_password`; not `tokens`, `max_tokens`, `next_page_token`, `password_required`."""
    words = _BEHIND_A_NAME.sub("", "_".join(word.lower() for word in _BETWEEN_WORDS.split(name) if word))
    if _SECRET_NAME.search(words):
        return True
    return _TOKEN.search(words) is not None and _OPEN_TOKEN.search(words) is None


def redact(text: str) -> str:
    """`text` with keys, bearer tokens, credentials in URLs and every registered secret masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        if secret in text:
            text = text.replace(secret, MASK)
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text


def excerpt(text: str, most: int) -> str:
    """The first `most` characters of a stranger's text, masked before it is cut: half a key is not known for one. What was cut ends
    in "…"."""
    text = text.strip()
    shown = redact(text[:_WINDOW])
    if len(text) > _WINDOW:  # a secret may have been split at the window's own end
        shown = shown[: max(0, len(shown) - max(map(len, _secrets), default=0))]
    return shown if len(text) <= _WINDOW and len(shown) <= most else f"{shown[:most]}…"


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
