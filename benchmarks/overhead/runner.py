"""Runs drivers over scenarios: interleaved round by round, so that a slow drift of the machine hits all alike."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.overhead.catalogue import DRIVERS, HEAVY, ROOT, Driver
from benchmarks.overhead.measurement import Measurement
from benchmarks.overhead.scenarios import SCENARIOS
from benchmarks.overhead.startup import measure_startup

STARTUP = "startup"
_PATIENCE = 600  # seconds for one process


@contextmanager
def endpoint() -> Generator[str]:
    """The endpoint's base URL, while it runs."""
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.overhead.server"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@contextmanager
def bytecode() -> Generator[dict[str, str]]:
    """An environment that keeps compiled modules, as `pip install` does: compiling would cost more than importing."""
    with tempfile.TemporaryDirectory() as folder:
        yield {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": folder}


def measured(
    base_url: str, interpreters: Mapping[str, str], scenarios: Sequence[str], rounds: int, repeat: int
) -> Iterator[Measurement]:
    """One measurement after the other. `interpreters` are the drivers by name, `repeat` 0 takes each scenario's own."""
    with bytecode() as environment:
        for driver, python in interpreters.items():  # writes it
            _one(DRIVERS[driver], python, STARTUP, base_url, 1, environment)
            _one(DRIVERS[driver], python, "sequential", base_url, 1, environment)
        for name in scenarios:
            share = 1.0 if name == STARTUP else SCENARIOS[name].rounds
            light_only = name != STARTUP and SCENARIOS[name].light_only
            drivers = [d for d in interpreters if not (light_only and d in HEAVY)]
            for number in range(max(1, round(rounds * share))):
                for driver in drivers:
                    found = _one(DRIVERS[driver], interpreters[driver], name, base_url, repeat, environment)
                    yield replace(found, round=number)


def _one(driver: Driver, python: str, scenario: str, base_url: str, repeat: int, environment: dict[str, str]) -> Measurement:
    """In a process of its own; what goes wrong there is told in the measurement."""
    try:
        if scenario == STARTUP:
            return measure_startup(driver.name, python, driver.imports, str(ROOT), environment)
        command = [python, "-m", "benchmarks.overhead.measure", driver.name, driver.source, scenario, base_url, str(repeat)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return Measurement(driver=driver.name, scenario=scenario, error=f"not done within {_PATIENCE} s")
    except subprocess.CalledProcessError as e:
        why = _why(str(e.stderr)) or f"exit code {e.returncode}"
        return Measurement(driver=driver.name, scenario=scenario, error=why)
    line = next(line for line in done.stdout.splitlines() if line.startswith("MEASURED "))
    return Measurement.of(json.loads(line.removeprefix("MEASURED ")))


def _why(trace: str) -> str:
    """The line of a traceback that names the error; those of exception groups are drawn with rules."""
    lines = [line.strip(" |+-") for line in trace.splitlines()]
    return next((line[:200] for line in reversed(lines) if ": " in line), lines[-1][:200] if lines else "")
