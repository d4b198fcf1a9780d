"""The router before several instances: its command, and which addresses it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..engines.router import invocation, router_for
from ..launch import Site
from .instances import Instance
from .keys import with_router_key

__all__ = ["router_argv"]


def router_argv(
    instances: Sequence[Instance], heads: Sequence[str], site: Site, *, port: int, key: str | None, host: str | None = None
) -> Sequence[str]:
    """The router's command.

    Args:
        instances: what stands behind it.
        heads: address of each instance's head, as the router reaches it.
        site: of the whole; the router listens where it says.
        port: the router's port.
        key: file of the clients' key, if there is one.
        host: address that it listens on instead of the site's.

    Raises:
        FlagError: the instances are not all plain ones, nor both sides of a disaggregation.
    """
    own = replace(site, host=host) if host else site
    argv = invocation(router_for([instance.launch for instance in instances], heads, own, port)).argv
    return with_router_key(argv, key) if key else argv
