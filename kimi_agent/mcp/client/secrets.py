"""The secrets in what a user says of a server. They are masked in all texts from now on: in logs, in errors, in what a server says
of itself."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from kimi_agent.redact import MASK, redact, register_header, register_secret

_NAMED = re.compile(r"-{0,2}([\w.-]+)(?:=|:\s*)(.+)", re.DOTALL)  # --token=…, API_KEY=…, Authorization: …
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_VARIABLE = re.compile(r"(?:\w+\s+)?\$\{[^}]*\}")  # the name of what holds the secret, perhaps behind "Bearer"


def register_command(words: Iterable[str]) -> None:
    """Of a command line: what follows `--token`, what stands behind `--token=`, in a header, in a URL, in JSON."""
    flag = ""
    for word in words:
        if flag and not word.startswith("--"):
            register_named(flag, word)
        else:
            _register_in(word)
        flag = word.lstrip("-") if word.startswith("-") and "=" not in word else ""


def register_named(name: str, value: str) -> None:
    """Of a variable, a header or an option: the value, if its name says that it is a secret; else what is secret within it."""
    if _VARIABLE.fullmatch(value):
        return
    register_header(name, value)
    if _is_secret(name):
        register_secret(value)
    else:
        _register_in(value)


def register_url(url: str) -> None:
    """Of a URL: the password, and the parameters whose names say that they are secrets. A secret in a path cannot be known."""
    try:
        parts = urlsplit(url)
        password = parts.password or parts.username  # a token may stand alone
    except ValueError:
        return
    for secret in {password or "", unquote(password or "")}:
        register_secret(secret)
    for name, value in [*parse_qsl(parts.query), *parse_qsl(parts.fragment)]:
        register_secret(value if _is_secret(name) and not _VARIABLE.fullmatch(value) else None)


def _register_in(text: str) -> None:
    if _URL.match(text):
        register_url(text)
    elif text.startswith(("{", "[")):
        _register_in_json(text)
    elif named := _NAMED.fullmatch(text):
        register_named(named[1], named[2])


def _register_in_json(text: str) -> None:
    try:
        left: list[Any] = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            for name, each in cast(Mapping[str, Any], value).items():
                if isinstance(each, str):
                    register_named(name, each)
                else:
                    left.append(each)
        elif isinstance(value, list):
            left += cast(list[Any], value)


def _is_secret(name: str) -> bool:
    """As a parameter of a URL is: `key` and `auth`, too."""
    return redact(f"?{name}=some-value") == f"?{name}={MASK}"
