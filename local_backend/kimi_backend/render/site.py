"""Is a site complete and free of what a target would read as something else?"""

from __future__ import annotations

import ipaddress
import re

from ..launch import Site
from .errors import RenderError
from .options import IMAGE

__all__ = ["check_site", "in_url", "is_loopback", "is_wildcard"]

HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?)*")
DEVICE = re.compile(r"[A-Za-z0-9_.:-]+")
INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")


def check_site(site: Site) -> None:
    """Refuse what no target could carry.

    Raises:
        RenderError: it names the field and what to change.
    """
    for field in ("model_path", "api_key_file"):
        _absolute(field, getattr(site, field))
    if not site.served_name or "\0" in site.served_name:
        raise RenderError("served_name must be a text without NUL characters; clients send it as the model's name.")
    for address in (*site.addresses, site.host):
        _address(address)
    if len(set(site.addresses)) < len(site.addresses):
        raise RenderError("addresses names a node twice; every node runs one instance's rank.")
    if 0 < sum(map(is_loopback, site.addresses)) < len(site.addresses):
        raise RenderError(
            "addresses has a loopback address, where each node would meet only itself; give the nodes' own addresses."
        )
    for field in ("port", "rendezvous_port"):
        if not 1 <= getattr(site, field) <= 65535:
            raise RenderError(f"{field} is {getattr(site, field)}; ports are 1 to 65535.")
    if site.port == site.rendezvous_port:
        raise RenderError(f"port and rendezvous_port are both {site.port}; the head listens on both, so they must differ.")
    if site.interface is not None and not INTERFACE.fullmatch(site.interface):
        raise RenderError(f"interface is {site.interface!r}; a network interface has a name such as bond0.")
    if wrong := [device for device in site.infiniband if not DEVICE.fullmatch(device)]:
        raise RenderError(f"infiniband names {wrong[0]!r}; devices have names such as mlx5_0.")
    if site.image is not None and not IMAGE.fullmatch(site.image):
        raise RenderError(f"image is {site.image!r}; it must be an image reference such as lmsysorg/sglang:v0.5.23.")


def _absolute(field: str, path: str | None) -> None:
    if path is not None and (not path.startswith("/") or "\0" in path):
        raise RenderError(f"{field} is {path!r}; it must be an absolute path without NUL characters, as every node sees it.")


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not HOST_NAME.fullmatch(text):
            raise RenderError(f"{text!r} is neither a host name nor an IP address.") from None


def is_loopback(host: str) -> bool:
    """Whether only programs of the same machine reach a server that listens here."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether a server that listens here listens on every address of its machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def in_url(host: str) -> str:
    """The host as a URL takes it: IPv6 addresses stand in brackets."""
    return f"[{host}]" if ":" in host else host
