"""The repeat guard: a model that makes the same call again and again is told so, more and more plainly, and at last stopped.

Kimi models are known for it (MoonshotAI/Kimi-K2.5#24; kimi-cli#2142: 76 repeats over two hours, the reminder ignored), hence the
hard stop. Counted are turns in unbroken succession that hold the same call: same tool, same arguments whatever their spelling.
"""

import json
from collections.abc import Collection

from kimi_agent.messages import ToolCall

_SORTED = json.JSONEncoder(sort_keys=True)  # `json.dumps` would make one a call
_REMINDERS = {
    3: "\n\n[This is call number 3 in a row with the same arguments. The result will not change; use it.]",
    5: "\n\n[You have called {name} 5 times in a row with the same arguments: {arguments}. Do something else.]",
    8: "\n\n[You have called {name} 8 times in a row with the same arguments. Stop calling tools; say what you know and what you "
    "lack.]",
}


class RepeatGuard:
    """Counts over one run."""

    def __init__(self) -> None:
        self._streaks: dict[str, int] = {}

    @property
    def longest(self) -> int:
        """Turns in unbroken succession that held the same call, up to the last turn."""
        return max(self._streaks.values(), default=0)

    def turn_ended(self, calls: Collection[ToolCall], exempt: Collection[str]) -> None:
        """Takes in the calls of a turn, but those of the tools that are `exempt`."""
        keys = {_key(c) for c in calls if c.name not in exempt}
        self._streaks = {k: self._streaks.get(k, 0) + 1 for k in keys}

    def reminder(self, call: ToolCall) -> str:
        """What is added to the call's result, mostly nothing. The call's own turn need not have ended."""
        times = self._streaks.get(_key(call), 0) + 1
        text = _REMINDERS.get(times, "")
        return text.format(name=call.name, arguments=_short(call.arguments)) if text else ""


def _short(arguments: str, limit: int = 200) -> str:
    return arguments if len(arguments) <= limit else arguments[:limit] + "…"


def _key(call: ToolCall) -> str:
    try:
        arguments = _SORTED.encode(json.loads(call.arguments))
    except (ValueError, RecursionError):
        arguments = call.arguments
    return f"{call.name}\0{arguments}"
