"""The Model Context Protocol, both ways: `client` brings a server's tools into an agent, `server` makes tools and agents a server."""

from importlib.util import find_spec

if find_spec("mcp") is None or find_spec("mcp_types") is None:  # mcp_types came with mcp 2
    raise ImportError("MCP needs a package that is not there, or too old: pip install 'kimi-agent[mcp]'")
