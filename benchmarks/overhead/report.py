"""The figures as Markdown tables."""

import math
import os
import platform
from collections.abc import Callable, Iterable, Sequence

from benchmarks.overhead.catalogue import DRIVERS, FLOOR
from benchmarks.overhead.figures import Figures, Value, cpu, growth
from benchmarks.overhead.measurement import Measurement
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.overhead.targets import TARGETS, Target

Column = tuple[str, Callable[[Figures, str, str], float], str]  # heading, value of a scenario and a driver, format


def _median(heading: str, value: Value, form: str) -> Column:
    return heading, lambda figures, scenario, driver: figures.median(scenario, driver, value), form


def _ratio(heading: str, value: Value) -> Column:
    return heading, lambda figures, scenario, driver: figures.ratio(scenario, driver, FLOOR, value), ".2f"


def _turns(m: Measurement) -> int:
    scenario = SCENARIOS[m.scenario]
    return scenario.script.turns * scenario.width


_MEMORY = _median("peak MiB", lambda m: m.peak_mib, ".0f")
_TIMES = _ratio("× floor", cpu)
_A_TURN = (_median("CPU ms a turn", lambda m: m.cpu_s / _turns(m) * 1e3, ".2f"), _TIMES)
_WALL = _median("wall s", lambda m: m.wall_s, ".2f")
_LONG = (
    *_A_TURN,
    _median("turns 5–45, ms", lambda m: m.early_cpu_s * 1e3, ".2f"),
    _median("last 40, ms", lambda m: m.late_cpu_s * 1e3, ".2f"),
    _median("growth", growth, ".2f"),
    _MEMORY,
)
_AT_ONCE = (
    _median("at once", lambda m: m.at_once, ".0f"),
    _median("wall ms", lambda m: m.wall_s * 1e3, ".0f"),
    _median("CPU ms", lambda m: m.cpu_s * 1e3, ".1f"),
    _TIMES,
)
_MANY = (_WALL, _median("CPU s", cpu, ".2f"), _TIMES, _MEMORY)
COLUMNS: dict[str, Sequence[Column]] = {
    "startup": (
        _median("CPU ms", lambda m: m.cpu_s * 1e3, ".0f"),
        _TIMES,
        _median("wall ms", lambda m: m.wall_s * 1e3, ".0f"),
        _median("modules", lambda m: m.modules, ".0f"),
        _MEMORY,
    ),
    "sequential": _A_TURN,
    "deltas": _A_TURN,
    "async_tools": _AT_ONCE,
    "blocking_tools": _AT_ONCE,
    "concurrent_runs": _MANY,
    "long_run": _LONG,
    "very_long_run": _LONG,
    "thousand_agents": _MANY,
}


def tables(figures: Figures) -> str:
    """The targets, then one table a scenario."""
    return "\n\n".join([target_table(figures), *(_scenario(figures, s) for s in figures.scenarios)])


def target_lines(figures: Figures) -> str:
    """What must hold, for a terminal; what failed behind it."""
    lines = [f"{t.verdict(figures):<12}  {_measured(t, figures):>10}  of {_bound(t):<10}  {t.title}" for t in TARGETS]
    lines += [f"failed        {scenario} of {driver}: {why}" for (scenario, driver), why in figures.errors.items()]
    return "\n".join(lines)


def target_table(figures: Figures) -> str:
    """What must hold, and whether it does."""
    rows = [[t.title, _bound(t), _measured(t, figures), t.verdict(figures)] for t in TARGETS]
    return "### Targets\n\n" + _table(["target", "bound", "measured", ""], rows)


def _bound(target: Target) -> str:
    return f"{'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}".strip()


def _measured(target: Target, figures: Figures) -> str:
    value = target.figure(figures)
    return "–" if math.isnan(value) else f"{value:.3g} {target.unit}".strip()


def _scenario(figures: Figures, scenario: str) -> str:
    title = SCENARIOS[scenario].title if scenario in SCENARIOS else "Import"
    columns = COLUMNS[scenario]
    rows = [
        [DRIVERS[driver].title, *(format(value(figures, scenario, driver), form) for _, value, form in columns)]
        for driver in figures.drivers(scenario)
    ]
    rows += [[DRIVERS[d].title, f"failed: {why}"] for (s, d), why in figures.errors.items() if s == scenario]
    return f"### {title} (`{scenario}`)\n\n" + _table(["", *(heading for heading, _, _ in columns)], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([*row, *[""] * (len(head) - len(row))] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "¦") for cell in line) + " |" for line in lines)


def machine() -> str:
    """What it ran on, in one line, and how busy it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cores} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}{load}"
