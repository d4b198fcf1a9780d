"""What this library must keep."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.overhead.catalogue import FLOOR, OWN
from benchmarks.overhead.figures import Figures, cpu, growth
from benchmarks.overhead.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure.

    Attributes:
        title: what is bounded.
        unit: of the figure.
        limit: the bound.
        at_least: whether the figure must be that high, not that low.
        figure: from all that was measured; nan where it was not.
    """

    title: str
    unit: str
    limit: float
    figure: Callable[[Figures], float]
    at_least: bool = False

    def verdict(self, figures: Figures) -> str:
        """ "pass", "miss", or "not measured"."""
        value = self.figure(figures)
        if math.isnan(value):
            return "not measured"
        return "pass" if (value >= self.limit if self.at_least else value <= self.limit) else "miss"


def _times(scenario: str) -> Target:
    title = f"CPU of `{scenario}` against the bare aiohttp loop, with events, validation and journal"
    return Target(title, "×", 3.0, lambda f: f.ratio(scenario, OWN, FLOOR, cpu))


def _completed(figures: Figures) -> float:
    """Tool calls of the run of 1,000 turns."""
    return figures.median("very_long_run", OWN, lambda m: m.tool_calls)


TARGETS = (
    _times("sequential"),
    _times("deltas"),
    _times("concurrent_runs"),
    _times("long_run"),
    Target("CPU a turn, last 40 of 300 turns against turns 5 to 45", "×", 1.5, lambda f: f.median("long_run", OWN, growth)),
    Target("peak memory of 200 runs at once", "MiB", 60.0, lambda f: f.median("concurrent_runs", OWN, lambda m: m.peak_mib)),
    Target("CPU of `import kimi_agent`", "ms", 150.0, lambda f: f.median("startup", OWN, cpu) * 1e3),
    Target("blocking tools at once", "", 8.0, lambda f: f.median("blocking_tools", OWN, lambda m: m.at_once), at_least=True),
    Target("tool calls of one run of 1,000 turns", "", SCENARIOS["very_long_run"].tool_calls, _completed, at_least=True),
)
