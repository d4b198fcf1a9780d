"""The time, which no model knows."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kimi_agent import ModelRetry, tool


@tool(repeatable=True, idempotent=True)
def current_time(timezone: str = "UTC") -> str:
    """The current date and time.

    Args:
        timezone: An IANA time zone, such as Asia/Shanghai.
    """
    try:
        return datetime.now(ZoneInfo(timezone)).isoformat(timespec="seconds")
    except (ZoneInfoNotFoundError, ValueError) as e:
        raise ModelRetry(f"{timezone!r} is no IANA time zone, such as Europe/Berlin") from e
