"""Commands and addresses of servers, as they may be shown: whatever could be a secret is left out."""

import re
import shlex
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from kimi_agent.observe.plain import one_line
from kimi_agent.redact import MASK, is_secret_name, redact

_WIDTH = 400
_NAMED = re.compile(r"-{0,2}([\w.-]+)(=|:\s*)(.+)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_RANDOM = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w.~-]{20,}")  # a key in a path, as some hosted servers have it


def shown_command(words: Iterable[str]) -> str:
    """The command line as it could be typed."""
    shown: list[str] = []
    before = ""
    for word in words:
        shown.append(MASK if _is_secret(before.lstrip("-"), word) and before.startswith("-") else _masked(word))
        before = word
    return one_line(shlex.join(shown).replace(f"'{MASK}'", MASK), _WIDTH)


def shown_url(url: str) -> str:
    """Without user and password, and without values of the query; of the path what looks like a key is masked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return one_line(redact(url), _WIDTH)
    path = "/".join(MASK if _RANDOM.fullmatch(step) else step for step in parts.path.split("/"))
    query = "&".join(
        f"{pair.partition('=')[0]}={_unless_variable(pair.partition('=')[2])}" for pair in parts.query.split("&") if pair
    )
    host = parts.netloc.rpartition("@")
    return one_line(redact(urlunsplit((parts.scheme, f"{MASK}@{host[2]}" if host[1] else host[2], path, query, ""))), _WIDTH)


def is_literal_secret(name: str, value: str) -> bool:
    """Whether a value that must not be known stands there itself, and not the name of a variable that holds it."""
    return _is_secret(name, value)


def _is_secret(name: str, value: str) -> bool:
    return bool(name) and is_secret_name(name) and bool(_literal(value).strip())


def _literal(value: str) -> str:
    """What stands there itself: of `Bearer sk-…${X}` the key, of `Bearer ${X}` nothing."""
    return re.sub(r"^\w+\s+(?=\$\{)|\$\{[^}]*\}", "", value)


def _masked(word: str) -> str:
    named = _NAMED.fullmatch(word)
    if named and _is_secret(named[1], named[3]):
        return word[: named.start(3)] + MASK
    return shown_url(word) if re.match(r"https?://", word) else redact(word)


def _unless_variable(value: str) -> str:
    return value if _VARIABLE.fullmatch(value) else MASK
