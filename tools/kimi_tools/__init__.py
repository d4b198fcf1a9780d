"""Ready-made tools for agents; each module is one tool or one family, on the public door of `kimi_agent`."""

from kimi_tools.clock import current_time

__all__ = ["current_time"]
