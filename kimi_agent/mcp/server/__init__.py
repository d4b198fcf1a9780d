"""Tools, agents, resources and prompts as an MCP server; see `MCPService`."""

from kimi_agent.mcp.server.agent_tool import AgentTool
from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.caller import Caller, caller
from kimi_agent.mcp.server.http import HTTPOptions
from kimi_agent.mcp.server.program import serve_mcp
from kimi_agent.mcp.server.prompts import Prompt
from kimi_agent.mcp.server.resources import Resource
from kimi_agent.mcp.server.service import MCPService

__all__ = [
    "AgentTool",
    "Caller",
    "ClientRefused",
    "HTTPOptions",
    "MCPService",
    "Prompt",
    "Resource",
    "caller",
    "serve_mcp",
]
