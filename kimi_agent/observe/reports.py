"""What running tools say of themselves, as text for a terminal."""

import math

from kimi_agent.events import ToolLog, ToolProgress
from kimi_agent.observe.plain import one_line, plain, shortened

_WIDTH = 200
_STYLES = {"debug": "dim", "info": "dim", "notice": "dim", "warning": "yellow"}
_ALWAYS_SHOWN = frozenset({"warning", "error", "critical", "alert", "emergency"})


def progress_text(event: ToolProgress) -> str:
    """`3/10 what is done`, on one line; empty where the report says nothing."""
    return " ".join(part for part in (_amount(event.progress, event.total), one_line(event.text, _WIDTH)) if part)


def is_worth_a_line(event: ToolLog) -> bool:
    """Whether somebody who did not ask for details should see it. What has a level that nobody knows is shown: it may matter."""
    return event.level in _ALWAYS_SHOWN or event.level not in _STYLES


def log_text(event: ToolLog) -> str:
    """`warning from the source: text`, in the first lines of the text."""
    source = f" from {one_line(event.source, 80)}" if event.source else ""
    return f"{one_line(event.level, 20)}{source}: {shortened(plain(event.text))}"


def log_style(event: ToolLog) -> str:
    """As rich names it."""
    return _STYLES.get(event.level, "red")


def _amount(progress: float | None, total: float | None) -> str:
    if progress is None or not math.isfinite(progress):
        return ""
    return f"{progress:.6g}/{total:.6g}" if total is not None and math.isfinite(total) and total > 0 else f"{progress:.6g}"
