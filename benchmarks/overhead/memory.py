"""How much memory this process has held."""

import resource
import sys
from pathlib import Path


def peak_mib() -> float:
    """MiB at the most, of this program only: Linux's `ru_maxrss` goes on from the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
