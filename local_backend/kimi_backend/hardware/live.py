"""This node's own GPUs, CPUs and memory, read from the driver and the kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .cluster import Cluster, Host
from .gpus import HardwareError, gpu_of_device

__all__ = ["live_cluster", "live_host"]

_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
_PATIENCE = 60.0  # the first call of a driver without persistence mode takes tens of seconds on eight cards


def live_cluster(nodes: int = 1, *, host: Host | None = None, bandwidth: float | None = None) -> Cluster:
    """The GPUs that `nvidia-smi` shows on this node, `nodes` times; its CPUs and memory too, where `host` does not say.

    `bandwidth` is that of its memory, bytes a second, which is nowhere to be read.

    Raises:
        HardwareError: there is no driver, no card, an unknown one, or cards of several kinds.
    """
    cards = _cards(_ask())
    kinds = {(name, mib) for name, mib in cards}
    if len(kinds) > 1:
        told = ", ".join(sorted(f"{name} ({mib} MiB)" for name, mib in kinds))
        raise HardwareError(
            f"this node has cards of several kinds: {told}; an instance needs equal ones, so name those to use, such as 8xH200"
        )
    ((name, mib),) = kinds
    return Cluster(gpu=gpu_of_device(name, mib), nodes=nodes, gpus_per_node=len(cards), host=host or live_host(bandwidth))


def live_host(bandwidth: float | None = None) -> Host:
    """Memory, cores and NUMA nodes of this node. Linux only."""
    nodes = len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1
    return Host(ram=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), cores=_cores(), numa_nodes=nodes, bandwidth=bandwidth)


def _ask() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        raise HardwareError(
            "nvidia-smi is not on the PATH, so there is nothing to read live; name the GPUs instead, such as 16xH200"
        )
    try:
        answer = subprocess.run([program, *_QUERY], capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HardwareError(f"nvidia-smi gave no answer ({error}); name the GPUs instead, such as 16xH200") from error
    if answer.returncode:
        told = _text(answer.stderr or answer.stdout).strip().splitlines()
        raise HardwareError(f"nvidia-smi ended with {answer.returncode}: {told[0] if told else 'no message'}")
    return _text(answer.stdout)


def _text(answer: bytes) -> str:
    """Whatever the locale: a driver that fails may print anything."""
    return answer.decode("utf-8", "replace")


def _cards(answer: str) -> list[tuple[str, int]]:
    cards: list[tuple[str, int]] = []
    for line in filter(None, map(str.strip, answer.splitlines())):
        name, comma, memory = line.rpartition(",")
        if not comma or not memory.strip().isdecimal() or len(memory) > 12:
            raise HardwareError(f"nvidia-smi said {line!r}, where a name and a number of MiB were expected; name the GPUs instead")
        cards.append((name.strip(), int(memory)))
    if not cards:
        raise HardwareError("nvidia-smi shows no card; name the GPUs instead, such as 16xH200")
    return cards


def _cores() -> int:
    """Physical cores: two threads of one core compute experts no faster than one."""
    topology = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    siblings = {path.read_text(encoding="ascii").strip() for path in topology}
    return len(siblings) or os.cpu_count() or 1
