"""Measurements → figures: medians over the rounds, and ratios taken within a round, so that the machine's drift cancels."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from benchmarks.overhead.measurement import Measurement

Rounds = Mapping[int, Measurement]
Value = Callable[[Measurement], float]
nan = math.nan


class Figures:
    """All that was measured, by scenario and driver."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._by: dict[str, dict[str, dict[int, Measurement]]] = defaultdict(lambda: defaultdict(dict))
        self._errors: dict[tuple[str, str], str] = {}
        for m in measurements:
            if m.error:
                self._errors[m.scenario, m.driver] = m.error
            else:
                self._by[m.scenario][m.driver][m.round] = m

    @property
    def scenarios(self) -> list[str]:
        """Those that were measured, in order."""
        return list(dict.fromkeys([*self._by, *(s for s, _ in self._errors)]))

    @property
    def errors(self) -> dict[tuple[str, str], str]:
        """By scenario and driver."""
        return self._errors

    def drivers(self, scenario: str) -> list[str]:
        """Those with figures, in order."""
        return list(self._by[scenario])

    def median(self, scenario: str, driver: str, value: Value) -> float:
        """Over the rounds; nan where there are none."""
        rounds = self._rounds(scenario, driver)
        return statistics.median(value(m) for m in rounds.values()) if rounds else nan

    def ratio(self, scenario: str, driver: str, floor: str, value: Value) -> float:
        """The median of the rounds' own ratios to the floor in the same round; nan where they have none in common."""
        mine, base = self._rounds(scenario, driver), self._rounds(scenario, floor)
        both = [value(m) / value(base[i]) for i, m in mine.items() if i in base and value(base[i])]
        return statistics.median(both) if both else nan

    def _rounds(self, scenario: str, driver: str) -> Rounds:
        return self._by.get(scenario, {}).get(driver, {})


def cpu(m: Measurement) -> float:
    """CPU seconds."""
    return m.cpu_s


def growth(m: Measurement) -> float:
    """What the last 40 turns of a long run cost, against turns 5 to 45."""
    return m.late_cpu_s / m.early_cpu_s if m.early_cpu_s else nan
