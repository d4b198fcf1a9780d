"""`kimi-agent mcp`, and the servers of `--mcp`."""
