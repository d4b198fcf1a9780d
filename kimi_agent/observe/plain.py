"""Text of models, tools and endpoints, made safe for a terminal. It is never parsed as markup."""

import json
import re
from typing import Any

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.messages import ToolCall

RESULT_LINES, RESULT_CHARS = 6, 500
# Overrides of the writing direction let one text be read as another (CVE-2021-42574); separators end lines unseen.
_DECEPTIVE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2028\u2029\u2066\u2067\u2068\u2069\ufeff")
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """Without the characters by which a text could move the cursor, recolour the screen, set the title or reverse the line."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160 and c not in _DECEPTIVE))


def one_line(text: str, width: int) -> str:
    """The text on one line of at most `width` characters, safe for a terminal."""
    line = _SPACE.sub(" ", plain(text[: 4 * width + 64])).strip()
    return line if len(line) <= width else line[: max(width - 1, 1)] + "…"


def shortened(text: str) -> str:
    """The first lines of a text, and how much more there is."""
    lines = text.splitlines()
    if len(lines) > RESULT_LINES:
        text = "\n".join([*lines[:RESULT_LINES], f"… {len(lines) - RESULT_LINES} more lines"])
    return text if len(text) <= RESULT_CHARS else text[:RESULT_CHARS] + f"… {len(text) - RESULT_CHARS} more characters"


def arguments_of(call: ToolCall) -> str:
    """`key=value, …`, or the raw text where the arguments are no object."""
    try:
        arguments: Any = json.loads(call.arguments, strict=False)
        return plain(", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in arguments.items()))
    except (ValueError, AttributeError, RecursionError):
        return plain(call.arguments)


def error_line(console: Console, text: str) -> None:
    """One red line."""
    console.print(Styled.assemble(("error: ", "bold red"), plain(text)), soft_wrap=True)
