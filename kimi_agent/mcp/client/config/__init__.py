"""The mcp.json that Claude Desktop, Claude Code, Cursor, VS Code and Kimi CLI share: read, and changed with care."""

from kimi_agent.mcp.client.config.entry import ServerConfig
from kimi_agent.mcp.client.config.read import default_config_path, read_config
from kimi_agent.mcp.client.config.write import add_server, remove_server

__all__ = ["ServerConfig", "add_server", "default_config_path", "read_config", "remove_server"]
