"""What checking a value by a schema may cost, paid as it goes: both may be a stranger's, and the event loop waits for it."""

import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from jsonschema.exceptions import ValidationError

from kimi_agent.tooling.json_identity import canonical
from kimi_agent.tooling.patterns import compiled

MOST_VALUES = 100_000  # that are checked at all: a second and a half of a loop that stands still
_STEPS = 30_000  # keywords that a check may look at, and so many more for each value in the arguments
_STEPS_A_VALUE = 50
_MOST_STEPS = 400_000
_ENTRIES_A_STEP = 4  # of a list or an object that a keyword goes through
_CHARACTERS_A_STEP = 250  # of a text that is searched or quoted
_CHARACTERS_A_VALUE = 1_000  # that allow as many steps as a value does
_PATTERNS = 1.0  # seconds that a check may compile patterns and search by them; they stay compiled


class TooCostlyError(Exception):
    """The arguments cannot be checked by this schema in the time that a call may take."""


class Budget:
    """For one check of one value. Raises TooCostlyError, at once where the value is too large."""

    __slots__ = ("_known", "_patterns", "_steps")

    def __init__(self, value: Any) -> None:
        self._steps = min(_STEPS + _STEPS_A_VALUE * size(value), _MOST_STEPS)
        self._patterns = _PATTERNS
        self._known: dict[int, frozenset[str]] = {}

    def pay(self, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise TooCostlyError("the schema has too many branches for these arguments")

    def pay_text(self, text: str) -> None:
        """For reading or writing a text."""
        self.pay(len(text) // _CHARACTERS_A_STEP)

    def pay_passing(self, through: Any) -> None:
        """For going through a list or an object."""
        self.pay(len(through) // _ENTRIES_A_STEP if isinstance(through, list | dict) else 0)  # pyright: ignore[reportUnknownArgumentType]

    def paid(self, errors: Iterator[ValidationError]) -> Iterator[ValidationError]:
        """The errors, whose texts mostly quote the value."""
        for error in errors:
            self.pay_text(error.message)
            yield error

    def written(self, value: Any) -> str:
        """What stands for the value where two are compared."""
        text = canonical(value)
        self.pay(len(text) // 64)
        return text

    def known(self, values: list[Any]) -> frozenset[str]:
        """What stands for each of the schema's own values, written once for a check, which the schema and its `id` outlive."""
        if id(values) not in self._known:
            self._known[id(values)] = frozenset(map(self.written, values))
        return self._known[id(values)]

    def found(self, pattern: str, text: str) -> bool | None:
        self.pay_text(text)
        began = time.perf_counter()
        found = compiled(pattern).found(text)
        self._patterns -= time.perf_counter() - began
        if self._patterns < 0:
            raise TooCostlyError("the schema's patterns are too large")
        return found


budget: ContextVar[Budget] = ContextVar("budget")


def size(value: Any) -> int:
    """How many values there are within one, itself included, and how many thousand characters. Raises TooCostlyError."""
    count, characters, todo = 0, 0, [value]
    while todo:
        each = todo.pop()
        count += 1
        if count + len(todo) > MOST_VALUES:
            raise TooCostlyError(f"more than {MOST_VALUES:,} values are not checked")
        if isinstance(each, dict):
            todo += each.values()  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(each, list):
            todo += each  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(each, str):
            characters += len(each)
    return count + characters // _CHARACTERS_A_VALUE
