"""The overhead benchmark runs end to end, one repetition of each scenario; what it costs is not judged here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCENARIOS = (
    "sequential",
    "deltas",
    "async_tools",
    "blocking_tools",
    "concurrent_runs",
    "long_run",
    "very_long_run",
    "thousand_agents",
)
LONG = ("long_run", "very_long_run")

pytestmark = pytest.mark.slow


def run_benchmark(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """The command, as `make bench` calls it, and its measurements."""
    file = folder / "measured.json"
    command = [sys.executable, "-m", "benchmarks.overhead", "--quick", "--json", str(file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55)
    return done, json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_measures_a_scenario(scenario: str, tmp_path: Path) -> None:
    done, measured = run_benchmark(tmp_path, "--scenarios", scenario, "--drivers", "bare_aiohttp,kimi_agent", "--markdown")
    assert done.returncode in (0, 1), done.stderr  # 1: a target is missed, which a busy machine may do
    assert [m["driver"] for m in measured] == ["bare_aiohttp", "kimi_agent"]
    for m in measured:
        assert m["scenario"] == scenario and not m["error"]
        assert m["wall_s"] > 0 and m["cpu_s"] > 0 and m["peak_mib"] > 10
        assert (m["early_cpu_s"] > 0 and m["late_cpu_s"] > 0) == (scenario in LONG)
    assert measured[0]["tool_calls"] == measured[1]["tool_calls"] > 0
    assert f"(`{scenario}`)" in done.stdout and "kimi-agent, events read" in done.stdout and "aiohttp" in done.stdout
    assert "failed" not in done.stdout


def test_slow_tools_run_at_once(tmp_path: Path) -> None:
    _, measured = run_benchmark(tmp_path, "--scenarios", "async_tools,blocking_tools", "--drivers", "kimi_agent,kimi_agent_run")
    assert [m["at_once"] for m in measured] == [8, 8, 8, 8]


def test_measures_the_official_client_and_the_import(tmp_path: Path) -> None:
    done, measured = run_benchmark(
        tmp_path, "--scenarios", "startup,sequential,deltas,very_long_run", "--drivers", "kimi_agent,official_client"
    )
    names = ["kimi_agent", "official_client"]
    assert [m["driver"] for m in measured] == [*names, *names, *names, "kimi_agent"]  # too long for the official client
    assert all(m["modules"] > 0 for m in measured if m["scenario"] == "startup")
    lines = done.stdout.splitlines()
    assert len(lines) == 9 and {line.split("  ")[0] for line in lines} <= {"pass", "miss", "not measured"}
    assert done.returncode == int(any(line.startswith("miss") for line in lines))


def test_a_slip_on_the_command_line_is_told(tmp_path: Path) -> None:
    done, measured = run_benchmark(tmp_path, "--scenarios", "sequental")
    assert done.returncode == 2 and "there is no sequental; there are startup, sequential" in done.stderr and not measured


def test_a_driver_that_fails_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    from benchmarks.overhead.catalogue import DRIVERS, Driver
    from benchmarks.overhead.figures import Figures
    from benchmarks.overhead.report import tables, target_lines
    from benchmarks.overhead.runner import endpoint, measured

    DRIVERS["broken"] = Driver("broken", "broken library", "benchmarks.peer_driver:no_such_build")
    try:
        with endpoint() as base_url:
            found = list(measured(base_url, {"broken": sys.executable, "bare_aiohttp": sys.executable}, ["sequential"], 1, 1))
        figures = Figures(found)
        assert [bool(m.error) for m in found] == [True, False]
        assert "no_such_build" in tables(figures) and "no_such_build" in target_lines(figures)
        assert figures.drivers("sequential") == ["bare_aiohttp"]
    finally:
        del DRIVERS["broken"]
