"""What it costs to import a library: a new interpreter each time, that has imported next to nothing before."""

import json
import subprocess

from benchmarks.overhead.measurement import Measurement

# Standing before the import: as little as can be, since what is loaded already costs nothing any more.
_CODE = """
import sys, time
import resource
modules, wall, cpu = len(sys.modules), time.perf_counter(), time.process_time()
import {modules}
wall, cpu, modules = time.perf_counter() - wall, time.process_time() - cpu, len(sys.modules) - modules
sys.path.insert(0, {root!r})
from benchmarks.overhead.memory import peak_mib
print([wall, cpu, modules, peak_mib()])
"""


def measure_startup(driver: str, python: str, modules: str, root: str, environment: dict[str, str]) -> Measurement:
    """Imports them in this interpreter, in this environment. Raises CalledProcessError where that fails."""
    code = _CODE.format(modules=modules, root=root)
    command = [python, "-c", code]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    wall, cpu, count, peak = json.loads(out)
    return Measurement(driver=driver, scenario="startup", wall_s=wall, cpu_s=cpu, modules=count, peak_mib=peak)
