"""What a target makes of a site: where its servers listen, how the key comes, and whether two programs want one port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..launch import Site
from .errors import RenderError
from .instances import Instance
from .options import Options, Target
from .pods import KEY_FOLDER
from .site import is_loopback, is_wildcard

__all__ = ["ADDRESSED", "check_ports", "fitted"]

ADDRESSED: frozenset[Target] = frozenset({"commands", "compose", "systemd"})
"""Targets that start each node by its address; the others give the nodes out themselves."""
ROUTER_METRICS = 29000
"""Port of sglang-router's metrics unless it is told another (its --prometheus-port)."""


def fitted(site: Site, target: Target, options: Options) -> Site:
    """The site as the target takes it.

    Raises:
        RenderError: an address that the target cannot listen on, or a key that it cannot read.
    """
    _check_host(site, target)
    if options.api_key_secret is None or site.api_key_file is not None:
        return site
    if target != "kubernetes":
        raise RenderError(f"api_key_secret names a Secret of Kubernetes, and {target} reads a file: give api_key_file.")
    return replace(site, api_key_file=f"{KEY_FOLDER}/api-key")


def _check_host(site: Site, target: Target) -> None:
    """One machine's address is right where that machine is known, and is the one that listens."""
    host = site.host
    if is_loopback(host) or is_wildcard(host):
        return
    if target not in ADDRESSED:
        who = "Kubernetes" if target == "kubernetes" else "Slurm"
        raise RenderError(
            f"host is {host}, the address of one machine, and {who} picks the machines when it starts them: "
            "give 0.0.0.0, or leave it out."
        )
    if host in site.addresses[1:]:
        raise RenderError(f"host is {host}, and clients ask the first node: give {site.addresses[0]} or 0.0.0.0.")


def check_ports(instances: Sequence[Instance], site: Site, options: Options, target: Target) -> None:
    """Refuse two programs of one machine that want the same port: the second fails only when the model is loaded.

    Raises:
        RenderError: which two.
    """
    beside = len(instances) > 1 and target != "kubernetes"  # there the router has a pod and an address of its own
    for at, instance in enumerate(instances):
        ports = [(site.port, "the engine's server"), *instance.engine.more_ports(instance.launch, site).items()]
        ports += [(site.rendezvous_port, "the meeting of the nodes")] if instance.launch.nodes > 1 else []
        if beside and at == 0:
            ports += [(options.router_port, "the router"), (ROUTER_METRICS, "the router's metrics")]
        seen: dict[int, str] = {}
        for port, what in ports:
            if port in seen:
                raise RenderError(
                    f"On the first node of {instance.name} {seen[port]} and {what} both want port {port}; change one."
                )
            seen[port] = what
