"""Two parsed command lines side by side."""

from __future__ import annotations

import re

from .flags import FlagError, Parsed, Snapshot

__all__ = ["differences", "number", "text"]

_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)


def differences(expected: Parsed, actual: Parsed, parser: Snapshot, harmless: frozenset[str]) -> list[str]:
    """Each flag that one of two command lines gives and that does not mean the same in both. Keys are not told."""
    found: list[str] = []
    for dest in sorted((expected.given | actual.given) - harmless):
        if actual.get(dest) != expected.get(dest):
            flag = _flag(parser, dest)
            if _SECRET.search(dest):
                found.append(f"{flag} must not be on the command line, where everyone sees it")
            else:
                found.append(f"{flag} is {actual.get(dest)!r}, not {expected.get(dest)!r}")
    return found


def _flag(parser: Snapshot, dest: str) -> str:
    option = parser.option(dest)
    return option.flags[0] if option is not None and option.flags else dest


def number(parsed: Parsed, dest: str) -> int:
    """A count that the command line must tell.

    Raises:
        FlagError: it does not.
    """
    value = parsed.get(dest)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FlagError(f"The command must say {dest} as a number; it is {value!r}.")
    return value


def text(parsed: Parsed, dest: str) -> str:
    """Words that the command line must tell.

    Raises:
        FlagError: it does not.
    """
    value = parsed.get(dest)
    if not isinstance(value, str):
        raise FlagError(f"The command must say {dest}; it is {value!r}.")
    return value
