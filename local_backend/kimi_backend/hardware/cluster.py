"""A cluster: equal nodes of equal GPUs, as people write it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .gpus import GPU, HardwareError, find_gpu

__all__ = ["MOST_NODES", "Cluster", "Host", "parse_cluster"]

PER_NODE = 8
MOST_NODES = 1024
MOST_PER_NODE = 72
"""An NVL72 rack is the most that is sold as one node."""
_FORM = re.compile(r"(?:(?P<nodes>\d{1,4})x)?(?P<count>\d{1,5})x(?P<kind>[A-Za-z][\w.\-]*(?::[\d.:]+)?)", re.ASCII)
_OWN = re.compile(r"(?P<name>[A-Za-z][\w.\-]*):(?P<mib>\d{3,8}):(?P<terabytes>\d{1,3}(?:\.\d{1,4})?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A node beside its GPUs: what matters where experts are computed on CPUs."""

    ram: int
    """Bytes."""
    cores: int
    """Physical cores of all sockets."""
    numa_nodes: int = 1
    bandwidth: float | None = None
    """Of its memory over all sockets, bytes a second, where somebody knows it."""

    def __post_init__(self) -> None:
        """Refuses what no node is.

        Raises:
            HardwareError: no memory, no core, no NUMA node, or a bandwidth that is no number above 0.
        """
        if min(self.ram, self.cores, self.numa_nodes) < 1:
            raise HardwareError(
                f"no node has {self.ram} bytes of memory, {self.cores} cores and {self.numa_nodes} NUMA nodes: each is 1 or more"
            )
        if self.bandwidth is not None and not (math.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise HardwareError(f"the memory's bandwidth is {self.bandwidth} bytes a second, and must be more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`nodes` nodes of `gpus_per_node` equal GPUs."""

    gpu: GPU
    nodes: int
    gpus_per_node: int
    host: Host | None = None

    def __post_init__(self) -> None:
        """Refuses what nobody has: counts without a bound would be planned for minutes.

        Raises:
            HardwareError: no node or GPU, or more than are planned for.
        """
        if not (1 <= self.nodes <= MOST_NODES and 1 <= self.gpus_per_node <= MOST_PER_NODE):
            raise HardwareError(
                f"{self.nodes} nodes of {self.gpus_per_node} GPUs: plans are made for 1 to {MOST_NODES:,} nodes of 1 to "
                f"{MOST_PER_NODE} GPUs"
            )

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return self.nodes * self.gpus_per_node

    def __str__(self) -> str:
        return f"{self.gpus}x{self.gpu.name}" + (f" on {self.nodes} nodes" if self.nodes > 1 else "")


def parse_cluster(text: str, *, nodes: int | None = None, host: Host | None = None) -> Cluster:
    """A cluster from `16xH200` (in nodes of 8), `2x8xH200` (nodes × GPUs), or with a card of one's own, `16xMINE:143771:4.8`
    (memory in MiB as nvidia-smi shows it, bandwidth in TB/s).

    Args:
        text: the cluster.
        nodes: over how many nodes the GPUs are spread, where the text does not say.
        host: the nodes' CPUs and memory.

    Raises:
        HardwareError: it cannot be read, the kind is not known, or the GPUs do not divide over the nodes.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match["count"]) == 0 or match["nodes"] == "0":
        raise HardwareError(f"{text!r} does not say how many GPUs of which kind: write 16xH200, or 2x8xH200 for nodes x GPUs")
    count = int(match["count"])
    if match["nodes"] is not None:
        stated, per_node = int(match["nodes"]), count
        if nodes is not None and nodes != stated:
            raise HardwareError(f"{text!r} says {stated} nodes, and {nodes} were asked for; say one of them")
        return Cluster(gpu=_kind(match["kind"]), nodes=stated, gpus_per_node=per_node, host=host)
    spread = nodes if nodes is not None else math.ceil(count / PER_NODE)
    if spread < 1 or count % spread:
        raise HardwareError(
            f"{count} GPUs do not divide over {spread} nodes; say nodes x GPUs, such as 2x{max(1, count // 2)}x{match['kind']}"
        )
    return Cluster(gpu=_kind(match["kind"]), nodes=spread, gpus_per_node=count // spread, host=host)


def _kind(text: str) -> GPU:
    if ":" not in text:
        return find_gpu(text)
    match = _OWN.fullmatch(text)
    if match is None or int(match["mib"]) == 0 or float(match["terabytes"]) == 0:
        raise HardwareError(f"{text!r}: a card of one's own is NAME:MEMORY_MIB:TB_PER_S, such as MINE:143771:4.8")
    return GPU(match["name"], int(match["mib"]), float(match["terabytes"]) * 1e12, fp8=True, devices=())
