"""GPU kinds: memory, bandwidth, and what their cores compute in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

from ..errors import BackendError

__all__ = ["GPU", "GPUS", "HardwareError", "find_gpu", "gpu_of_device"]

MIB = 1 << 20
MOST_MIB = 10**8


class HardwareError(BackendError):
    """GPUs that are not known, or could not be read; the text says which are, or what was tried."""


@dataclass(frozen=True, slots=True)
class GPU:
    """One kind of card."""

    name: str
    memory_mib: int
    """What `nvidia-smi` calls total memory: less than the name on the box says."""
    bandwidth: float
    """Of its memory, bytes a second, by its data sheet."""
    fp8: bool
    """Whether its tensor cores compute in fp8, which the engines' kernels for block-fp8 weights want."""
    devices: tuple[str, ...]
    """How `nvidia-smi` (or `rocm-smi`) begins its product name."""
    deepep: bool = True
    """Whether DeepEP and DeepGEMM run on it, which SGLang lays whole experts out with: Hopper or newer, and peer access between all
    cards of a node (NVLink). SGLang's layers/moe/ep_moe/layer.py asserts the first, DeepEP's README asks for both."""

    def __post_init__(self) -> None:
        """Refuses what no card is, wherever it was written.

        Raises:
            HardwareError: no memory, or a bandwidth that is no number above 0.
        """
        if not 1 <= self.memory_mib <= MOST_MIB or not (isfinite(self.bandwidth) and 0 < self.bandwidth <= 1e15):
            raise HardwareError(
                f"no card has {self.memory_mib} MiB at {self.bandwidth / 1e12:g} TB/s; its memory is 1 to {MOST_MIB:,} MiB, and "
                "its bandwidth more than 0 and at most 1,000 TB/s"
            )

    @property
    def amd(self) -> bool:
        """Whether it is AMD's, and not NVIDIA's."""
        return any(device.startswith("AMD") for device in self.devices)

    @property
    def memory(self) -> int:
        """Bytes."""
        return self.memory_mib * MIB


def _gpu(name: str, mib: int, terabytes: float, *devices: str, fp8: bool = True, deepep: bool = False) -> GPU:
    return GPU(name, mib, terabytes * 1e12, fp8, devices, deepep)


# Memory as nvidia-smi shows it, from memory and not read on the cards: `live` reads the real figure. Bandwidth from data sheets.
GPUS: Mapping[str, GPU] = {
    gpu.name: gpu
    for gpu in (
        _gpu("H100", 81_559, 3.35, "NVIDIA H100 80GB HBM3", "NVIDIA H100", deepep=True),
        _gpu("H800", 81_559, 3.35, "NVIDIA H800", deepep=True),
        _gpu("H20-96", 97_871, 4.0, "NVIDIA H20", deepep=True),
        _gpu("H20-141", 143_771, 4.8, "NVIDIA H20-3e", "NVIDIA H20", deepep=True),
        _gpu("H200", 143_771, 4.8, "NVIDIA H200", deepep=True),
        _gpu("B200", 183_359, 8.0, "NVIDIA B200", deepep=True),
        _gpu("B300", 275_040, 8.0, "NVIDIA B300", deepep=True),
        _gpu("A100-80", 81_920, 2.039, "NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB", "NVIDIA A800", fp8=False),
        _gpu("L20", 46_068, 0.864, "NVIDIA L20"),
        _gpu("L40S", 46_068, 0.864, "NVIDIA L40S"),
        _gpu("RTX4090", 24_564, 1.008, "NVIDIA GeForce RTX 4090"),
        _gpu("RTX4090-48", 49_140, 1.008, "NVIDIA GeForce RTX 4090"),
        _gpu("RTX5090", 32_607, 1.792, "NVIDIA GeForce RTX 5090"),
        _gpu("RTXPRO6000", 97_887, 1.792, "NVIDIA RTX PRO 6000"),
        _gpu("MI300X", 196_592, 5.3, "AMD Instinct MI300X"),
        _gpu("MI325X", 262_128, 6.0, "AMD Instinct MI325X"),
        _gpu("MI355X", 294_896, 8.0, "AMD Instinct MI355X"),
    )
}
_ALIASES = {"H20": "H20-96", "H20-3E": "H20-141", "A100": "A100-80", "A800": "A100-80", "4090": "RTX4090", "5090": "RTX5090"}


def find_gpu(name: str) -> GPU:
    """The kind of this name, in any case.

    Raises:
        HardwareError: it is not known.
    """
    wanted = name.strip().upper().replace("_", "-")
    by_upper = {known.upper(): gpu for known, gpu in GPUS.items()}
    gpu = by_upper.get(_ALIASES.get(wanted, wanted).upper())
    if gpu is None:
        raise HardwareError(
            f"GPU {name!r} is not known; known are {', '.join(GPUS)}. For another card say its memory and bandwidth: "
            "NAME:MEMORY_MIB:TB_PER_S, such as H300:200000:9.0"
        )
    return gpu


def gpu_of_device(product: str, memory_mib: int) -> GPU:
    """The kind that a driver calls `product`, with the memory that it has in truth.

    Raises:
        HardwareError: no known kind has that name.
    """
    fitting = [gpu for gpu in GPUS.values() if any(_begins(product, device) for device in gpu.devices)]
    if not fitting:
        raise HardwareError(
            f"the driver calls the card {product!r}, which is no known kind; say NAME:MEMORY_MIB:TB_PER_S instead of live, "
            f"such as MINE:{memory_mib}:3.0"
        )
    nearest = min(fitting, key=lambda gpu: abs(gpu.memory_mib - memory_mib))  # two cards of one name differ in memory
    return replace(nearest, memory_mib=memory_mib)


def _begins(product: str, device: str) -> bool:
    return product == device or product.startswith((device + " ", device + "-"))
