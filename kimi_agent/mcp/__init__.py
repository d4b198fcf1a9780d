"""The Model Context Protocol, both ways: `client` brings a server's tools into an agent, `server` makes tools and agents a server.

What most programs need stands in `kimi_agent` itself: MCPServer, mcp_servers, serve_mcp, OAuth. The rest is here.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from kimi_agent.mcp.logs import guard_logs

if find_spec("mcp") is None or find_spec("mcp_types") is None:  # mcp_types came with mcp 2
    raise ImportError("MCP needs a package that is not there, or too old: pip install 'kimi-agent[mcp]'")

guard_logs()

if TYPE_CHECKING:
    from kimi_agent.mcp.client.config import ServerConfig, add_server, default_config_path, read_config, remove_server
    from kimi_agent.mcp.client.elicitation import Elicit, Elicitation
    from kimi_agent.mcp.client.many import MCPServers, mcp_servers
    from kimi_agent.mcp.client.oauth import (
        FileTokenStore,
        MemoryTokenStore,
        OAuth,
        OAuthFailed,
        TokenStore,
        no_browser,
        open_browser,
    )
    from kimi_agent.mcp.client.sampling import Sampling, SamplingRequest
    from kimi_agent.mcp.client.server import MCPServer, ServerStatus
    from kimi_agent.mcp.client.tools import MCPTool
    from kimi_agent.mcp.server.agent_tool import AgentTool
    from kimi_agent.mcp.server.caller import Caller, caller
    from kimi_agent.mcp.server.program import serve_mcp
    from kimi_agent.mcp.server.prompts import Prompt
    from kimi_agent.mcp.server.resources import Resource
    from kimi_agent.mcp.server.service import MCPService

_LATER = {
    **dict.fromkeys(("ServerConfig", "add_server", "default_config_path", "read_config", "remove_server"), "client.config"),
    **dict.fromkeys(("Elicit", "Elicitation"), "client.elicitation"),
    **dict.fromkeys(("MCPServers", "mcp_servers"), "client.many"),
    **dict.fromkeys(
        ("FileTokenStore", "MemoryTokenStore", "OAuth", "OAuthFailed", "TokenStore", "no_browser", "open_browser"), "client.oauth"
    ),
    **dict.fromkeys(("Sampling", "SamplingRequest"), "client.sampling"),
    **dict.fromkeys(("MCPServer", "ServerStatus"), "client.server"),
    "MCPTool": "client.tools",
    "AgentTool": "server.agent_tool",
    **dict.fromkeys(("Caller", "caller"), "server.caller"),
    "serve_mcp": "server.program",
    "Prompt": "server.prompts",
    "Resource": "server.resources",
    "MCPService": "server.service",
}


def __getattr__(name: str) -> Any:
    if (module := _LATER.get(name)) is None:
        raise AttributeError(f"module 'kimi_agent.mcp' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"kimi_agent.mcp.{module}"), name)
    return value


__all__ = [
    "AgentTool",
    "Caller",
    "Elicit",
    "Elicitation",
    "FileTokenStore",
    "MCPServer",
    "MCPServers",
    "MCPService",
    "MCPTool",
    "MemoryTokenStore",
    "OAuth",
    "OAuthFailed",
    "Prompt",
    "Resource",
    "Sampling",
    "SamplingRequest",
    "ServerConfig",
    "ServerStatus",
    "TokenStore",
    "add_server",
    "caller",
    "default_config_path",
    "mcp_servers",
    "no_browser",
    "open_browser",
    "read_config",
    "remove_server",
    "serve_mcp",
]
