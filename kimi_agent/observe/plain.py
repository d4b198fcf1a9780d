"""Text of models, tools and endpoints, made safe for a terminal. It is never parsed as markup."""

import json
import logging
import re
import sys
from typing import Any

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.events import Healed
from kimi_agent.messages import ToolCall
from kimi_agent.records import ASKED_AGAIN
from kimi_agent.unseen import UNSAFE, escaped
from kimi_agent.unseen import exact as exact

RESULT_LINES, RESULT_CHARS = 6, 500
_DROPPED = re.compile(f"[{UNSAFE}]")
_ESCAPED = re.compile(f"[{UNSAFE}\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """Without the characters by which a text could move the cursor, recolour the screen, set the title or reverse the line."""
    return _DROPPED.sub("", text.encode("utf-8", "replace").decode())


def healed(event: Healed) -> str:
    """A line that says what was put right."""
    kind = event.kind.replace("_", " ")
    again = ": asked again" if event.kind in ASKED_AGAIN else ""
    return f"⟲ {kind}{again}{f' ({shortened(plain(event.detail))})' if event.detail else ''}"


def json_line(value: Any, *, indent: int | None = None) -> str:
    """JSON that no terminal obeys: what `plain` would drop is escaped, so the value is the same. All is, where standard output
    lacks signs."""
    narrow = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8"
    separators = (",", ":") if indent is None else None
    return _ESCAPED.sub(escaped, json.dumps(value, ensure_ascii=narrow, indent=indent, separators=separators))


class PlainFormatter(logging.Formatter):
    """Log lines hold what endpoints say, too."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, safe for a terminal."""
        return plain(super().format(record))


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
        arguments: Any = json.loads(call.effective, strict=False)
        return plain(", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in arguments.items()))
    except (ValueError, AttributeError, RecursionError):
        return plain(call.effective)


def error_line(console: Console, text: str) -> None:
    """One red line."""
    console.print(Styled.assemble(("error: ", "bold red"), plain(text)), soft_wrap=True)
