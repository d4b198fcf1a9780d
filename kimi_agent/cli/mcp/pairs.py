"""`NAME=VALUE` of the command line: variables and headers."""

import re
from collections.abc import Sequence

from kimi_agent.errors import UserError


def pairs_of(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE`, or `Name: value` as headers are written. Raises UserError, without the value: it may be a secret."""
    found: dict[str, str] = {}
    for pair in given or ():
        split = re.fullmatch(r"([^=:\s]+)\s*[=:]\s*(.*)", pair, re.DOTALL)
        if split is None:
            raise UserError(f"{option}: write NAME=VALUE")
        found[split[1]] = split[2]
    return found
