"""Signing in to MCP servers with OAuth, through the MCP SDK: settings, a store of tokens, and the `httpx2.Auth` that uses them."""

from kimi_agent.mcp.client.oauth.browser import no_browser, open_browser
from kimi_agent.mcp.client.oauth.errors import OAuthFailed
from kimi_agent.mcp.client.oauth.settings import OAuth
from kimi_agent.mcp.client.oauth.store import FileTokenStore, MemoryTokenStore, TokenStore

__all__ = ["FileTokenStore", "MemoryTokenStore", "OAuth", "OAuthFailed", "TokenStore", "no_browser", "open_browser"]
