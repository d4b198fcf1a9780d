"""Measures in this process and prints one line of JSON; `runner` starts one a measurement.

python -m benchmarks.overhead.measure DRIVER MODULE:BUILD SCENARIO BASE_URL REPEAT

Peers run this file with their own interpreter: nothing but the standard library.
"""

import asyncio
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from benchmarks.overhead.measurement import Measurement
from benchmarks.overhead.memory import peak_mib
from benchmarks.overhead.scenarios import SCENARIOS, stamps, tally

Run = Callable[[str], Awaitable[str]]
_QUIET = {
    "OPENAI_API_KEY": "x",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "AGNO_TELEMETRY": "false",
    "LANGSMITH_TRACING": "false",
    "OTEL_SDK_DISABLED": "true",
}


async def measure(driver: str, source: str, name: str, base_url: str, repeat: int) -> Measurement:
    """One scenario of one driver; `repeat` 0 stands for the scenario's own."""
    scenario = SCENARIOS[name]
    pinned = _pin() if scenario.one_core else False
    module_name, _, function = source.partition(":")
    module: Any = importlib.import_module(module_name)
    script = replace(scenario.script, final_tool=getattr(module, "FINAL_TOOL", ""))
    build: Callable[..., Run] = getattr(module, function)
    agents = scenario.width if scenario.own_agents else 1
    runs = [build(base_url, script.model, [scenario.tool], scenario.stream, script.turns + 5) for _ in range(agents)]
    repeat = repeat or scenario.repeat
    if scenario.repeat > 1:  # imports, connections and caches; a scenario that is measured once is long enough to bear them
        await _all(runs, min(scenario.width, 2))
    stamps.clear()
    tally.calls = 0
    times = [await _all(runs, scenario.width) for _ in range(repeat)]
    if tally.calls != scenario.tool_calls * repeat:
        raise RuntimeError(f"{tally.calls} tool calls were made, of {scenario.tool_calls * repeat}")
    one_long_run = scenario.width == 1 and repeat == 1 and len(stamps) >= 100
    return Measurement(
        driver=driver,
        scenario=name,
        wall_s=statistics.median(t[0] for t in times),
        cpu_s=statistics.median(t[1] for t in times),
        peak_mib=peak_mib(),
        tool_calls=tally.calls,
        at_once=tally.most,
        early_cpu_s=_per_turn(stamps[5:45]) if one_long_run else 0.0,
        late_cpu_s=_per_turn(stamps[-40:]) if one_long_run else 0.0,
        pinned=pinned,
    )


async def _all(runs: list[Run], width: int) -> tuple[float, float]:
    """Wall and CPU seconds of so many runs at once."""
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_checked(runs[i % len(runs)])) for i in range(width)]
    del tasks
    return time.perf_counter() - wall, time.process_time() - cpu


async def _checked(run: Run) -> None:
    said = await run("Go.")
    if "done" not in str(said):
        raise RuntimeError(f"the run ended with {said!r:.200}")


def _per_turn(stamps: list[float]) -> float:
    return (stamps[-1] - stamps[0]) / (len(stamps) - 1)


def _pin() -> bool:
    """Holds this process on one core; whether that could be done."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return True


def main(driver: str, source: str, scenario: str, base_url: str, repeat: str = "0") -> None:
    """Prints the measurement."""
    os.environ.update(_QUIET | {"OPENAI_BASE_URL": base_url})
    found = asyncio.run(measure(driver, source, scenario, base_url, int(repeat)))
    print("MEASURED " + json.dumps(found.to_dict()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
