"""Environment variables that tell the communication libraries which interfaces and devices to use, and back."""

from __future__ import annotations

from collections.abc import Mapping

from ..launch import Site

__all__ = ["network_env", "network_of"]


def network_env(site: Site) -> dict[str, str]:
    """Variables for NCCL and Gloo; none where the site leaves the choice to them.

    NCCL takes names as prefixes (`mlx5_1` is also `mlx5_10`) unless they follow a `=`; Gloo takes one whole name.
    Source: NCCL's user guide, NCCL_SOCKET_IFNAME and NCCL_IB_HCA; both names stand in SGLang's own multi-node manifests.
    """
    env: dict[str, str] = {}
    if site.interface is not None:
        env |= {"NCCL_SOCKET_IFNAME": f"={site.interface}", "GLOO_SOCKET_IFNAME": site.interface}
    if site.infiniband:
        env["NCCL_IB_HCA"] = "=" + ",".join(site.infiniband)
    return env


def network_of(env: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The interface and the InfiniBand devices that such variables name."""
    devices = env.get("NCCL_IB_HCA", "").removeprefix("=")
    return env.get("GLOO_SOCKET_IFNAME"), tuple(devices.split(",")) if devices else ()
