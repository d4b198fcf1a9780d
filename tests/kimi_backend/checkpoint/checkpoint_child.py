"""Converts in a process of its own, for the drills: killed at a step or a moment, or its memory measured.

Run as `checkpoint_child.py convert SOURCE TARGET TO [STEP]`, or `... kills SOURCE TARGET TO`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from kimi_backend.checkpoint import CheckpointError, inspect
from kimi_backend.checkpoint.convert import convert
from kimi_backend.checkpoint.headers import read_header


def run(source: str, target: str, to: str, step: int | None = None) -> None:
    """Convert; SIGKILL this process at the given callback."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)

    convert(source, target, to="bf16" if to == "bf16" else "fp8", progress=count)


def peak() -> int:
    """Most memory that this process had, bytes; of its own, since its start."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def kills(source: str, target: str, to: str) -> None:
    """Fork conversions and kill each a little later, until one ends; print how many died. Torch is imported once for all."""
    chance = random.Random(5)
    for died in range(500):
        child = os.fork()
        if child == 0:
            run(source, target, to)
            os._exit(0)
        time.sleep(0.004 * died * chance.random())
        os.kill(child, signal.SIGKILL)
        if os.waitpid(child, 0)[1] == 0:
            print(died)
            return
        check(Path(target))
    sys.exit("never ended")


def check(target: Path) -> None:
    """What has a final name must be whole."""
    for file in target.glob("*.safetensors"):
        read_header(file)  # raises when the file is cut
    if (target / "config.json").exists():
        try:
            inspect(target)
        except CheckpointError as error:
            sys.exit(f"config.json came before the rest: {error}")


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "kills":
        kills(*arguments)
    else:
        *paths, step = arguments
        idle = peak()
        run(*paths, int(step) or None)
        print(peak() - idle)
