"""Programs of others that the tests talk to: MCP servers, the Inspector, the conformance suite. `make peers` fetches them."""

from .commands import Peers, needed, peers

__all__ = ["Peers", "needed", "peers"]
