"""How far in an address lies: on the internet, in a private network, or on this machine."""

import asyncio
import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_SLOWEST = 5.0  # seconds for a name to be resolved
_FAKE = IPv4Network("198.18.0.0/15")  # what proxies that tunnel by name, such as Clash, resolve every name to
_NAT64 = IPv6Network("64:ff9b::/96")


class Reach(IntEnum):
    """From the outside in."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    NOWHERE = 3  # link-local, where clouds keep the keys of a machine; multicast; "this host"


def reach_of(address: IPv4Address | IPv6Address) -> Reach:
    """Of one address; one of IPv4 that is written as IPv6 is what it stands for."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return reach_of(inner)
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return Reach.NOWHERE
    return Reach.PUBLIC if address.is_global or (address.version == 4 and address in _FAKE) else Reach.PRIVATE


async def reaches(host: str) -> set[Reach]:
    """Of all addresses of a host; PUBLIC where there is none: the request fails by itself, or a proxy knows the name."""
    try:
        return {reach_of(ip_address(host))}
    except ValueError:
        pass
    try:
        async with asyncio.timeout(_SLOWEST):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return {reach_of(ip_address(entry[4][0])) for entry in found} or {Reach.PUBLIC}
    except (OSError, ValueError, TimeoutError):
        return {Reach.PUBLIC}
