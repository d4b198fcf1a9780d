"""GPUs and clusters: by name, or read from this node."""

from .cluster import MOST_NODES, Cluster, Host, parse_cluster
from .gpus import GPU, GPUS, HardwareError, find_gpu, gpu_of_device
from .live import live_cluster, live_host

__all__ = [
    "GPU",
    "GPUS",
    "MOST_NODES",
    "Cluster",
    "HardwareError",
    "Host",
    "find_gpu",
    "gpu_of_device",
    "live_cluster",
    "live_host",
    "parse_cluster",
]
