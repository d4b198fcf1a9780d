"""Tools and agents as an MCP server."""
