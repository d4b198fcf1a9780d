"""Secrets stay out of logs, errors and reprs. The library logs under "kimi_agent", silent until a handler is set."""

import base64
import logging
import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

MASK = "***"
SHORTEST = 8  # shorter "secrets", such as "none" or "EMPTY", are words that texts may hold
_LONG = 16  # characters of a cookie's value: a shorter one, such as a language, is no secret
_WINDOW = 65_536  # characters of which an excerpt is made; all of a large body would hold up the loop

_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{MASK}"),
    (re.compile(r"\b(sk|pk|rk|ak)-[A-Za-z0-9_*.-]{6,}"), rf"\1-{MASK}"),
    (
        re.compile(
            r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)"
            r"(?:[^/\s:@]*(?::[^/\s@]*)?"
            r"|[^/\s:@\[]*:(?!\d{0,5}[/?#]|[{$])[^\s@\"'<>]{0,200})@"  # a "/" in the password; behind a port it begins the path
        ),
        rf"\1{MASK}@",
    ),
    (re.compile(r"(?i)([\"']?(?:authorization|api[_-]?key|x-api-key)[\"']?\s*[:=]\s*[\"'])[^\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(api[_-]?key\s*[:=]\s*)(?!\*)[^\s\"'&,;)}\]]{6,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bauthorization\s*[:=]\s*(?!bearer|basic)(?:\w+\s+)?)(?!\*)[^\s\"',;)}\]]{6,}"), rf"\1{MASK}"),
    (re.compile(r"\b(gh[opsu]|github_pat|hf|xox[abp])_[A-Za-z0-9_]{10,}"), rf"\1_{MASK}"),
)
_PARAMETER = re.compile(r"([?&#](?:amp;)?([\w.\[\]-]{1,80})=)[^&\s\"'#]+")
_SECRET_PARAMETER = re.compile(r"(?i)key|auth|(?:.*[_-])?sig(?:nature)?")  # in a URL; elsewhere these are ordinary words
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
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
_secrets: dict[str, frozenset[str]] = {}  # each with what tells of it in base64


def register_secret(secret: str | None) -> None:
    """Has `redact` mask this very string from now on. Strings below 8 characters are not taken."""
    if secret and len(secret) >= SHORTEST:
        _secrets[secret] = _in_base64(secret)


def _in_base64(secret: str) -> frozenset[str]:
    """What the base64 of any text holds that holds the secret, such as `user:secret`: it depends on how many bytes stand before,
    modulo 3. A character that holds bits of a neighbour too is not in it."""
    data = _bytes(secret)
    whole = (base64.b64encode(bytes(before) + data).decode() for before in range(3))
    cores = [text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6] for before, text in enumerate(whole)]
    return frozenset([*cores, *(core.translate({ord("+"): "-", ord("/"): "_"}) for core in cores)])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


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


def redact(text: str, mask: str = MASK) -> str:
    """`text` with keys, bearer tokens, credentials in URLs and every registered secret masked, the latter in base64 and with
    %-escapes too. `mask` is put in their place."""
    secrets = sorted(_secrets.items(), key=lambda entry: len(entry[0]), reverse=True)
    for secret, cores in secrets:
        text = text.replace(secret, mask)
        for core in cores:
            if core in text:
                text = _without_base64(text, core, mask)
    if "%" in text:
        plain = unquote_to_bytes(_bytes(text))
        for form in (form for secret, cores in secrets for form in (secret, *cores) if _bytes(form) in plain):
            text = _percent_encoded(form).sub(mask, text)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown.replace(MASK, mask), text)
    return _PARAMETER.sub(lambda found: f"{found[1]}{mask}" if _is_secret_parameter(found[2]) else found[0], text)


def _is_secret_parameter(name: str) -> bool:
    return is_secret_name(name) or _SECRET_PARAMETER.fullmatch(name) is not None


def _without_base64(text: str, core: str, mask: str) -> str:
    """Masks all of the base64 around a core: its neighbours hold bits of the secret."""
    done: list[str] = []
    at = 0
    while (begin := text.find(core, at)) >= 0:
        end = begin + len(core)
        while begin > at and text[begin - 1] in _BASE64:
            begin -= 1
        while end < len(text) and text[end] in _BASE64:
            end += 1
        done += [text[at:begin], mask]
        at = end
    return "".join([*done, text[at:]])


@lru_cache(maxsize=64)
def _percent_encoded(secret: str) -> re.Pattern[str]:
    """Any of its characters may be escaped: which must be depends on where in a URL it stands."""
    pairs = ((char, "".join(f"%{byte:02x}" for byte in _bytes(char))) for char in secret)
    return re.compile("".join(f"(?:(?i:{escaped})|{re.escape(char)})" for char, escaped in pairs))


def excerpt(text: str, most: int) -> str:
    """The first `most` characters of a stranger's text, masked before it is cut: half a key is not known for one. What was cut ends
    in "…"."""
    text = text.strip()
    shown = redact(text[:_WINDOW])
    if len(text) > _WINDOW:  # a secret may have been split at the window's own end
        longest = max((3 * len(_bytes(secret)) for secret in list(_secrets)), default=0)  # every byte of it as %XX
        shown = shown[: max(0, len(shown) - longest)]
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
