"""kimi-agent: the agent SDK and runtime for Kimi models. Every tool call lands.

from kimi_agent import Agent, tool

@tool
def get_weather(city: str) -> dict:
    \"\"\"Current weather of a city.\"\"\"
    return {"city": city, "celsius": 27}

print(Agent(tools=[get_weather]).run_sync("What should I wear in Beijing?").output)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kimi_agent.agent import Agent
from kimi_agent.begin import ResumeOptions, RunOptions
from kimi_agent.errors import (
    AuthenticationError,
    BadRequest,
    BadResponse,
    ConnectionFailed,
    ContextLengthExceeded,
    KimiAgentError,
    MCPServerError,
    ModelRetry,
    NoOutput,
    Overloaded,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
    StatusError,
    StreamBroken,
    ToolDefinitionError,
    UserError,
)
from kimi_agent.events import (
    ApprovalRequested,
    Event,
    Healed,
    InputReceived,
    ReasoningBegin,
    ReasoningDelta,
    ReasoningEnd,
    RunBegin,
    RunEnd,
    TextBegin,
    TextDelta,
    TextEnd,
    ToolBegin,
    ToolCallBegin,
    ToolCallDelta,
    ToolCallEnd,
    ToolEnd,
    ToolLog,
    ToolProgress,
    TurnBegin,
    TurnEnd,
)
from kimi_agent.healing import Healing
from kimi_agent.limits import Limits, Usage
from kimi_agent.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
    Video,
)
from kimi_agent.models.base import Model, ModelRequest, Price, Profile, ToolSpec
from kimi_agent.output.spec import JsonSchema, NativeOutput, PromptedOutput, ToolOutput
from kimi_agent.result import RunResult
from kimi_agent.sessions.journal import Journal, MemoryJournal
from kimi_agent.settings import ModelSettings, Timeouts
from kimi_agent.stream import RunStream
from kimi_agent.tooling.approval import Approve, Approver, Decline
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.result import Pending, ToolResult
from kimi_agent.tooling.tool import Tool, ToolRules, tool
from kimi_agent.tooling.toolset import FunctionToolset, Toolset

if TYPE_CHECKING:
    from kimi_agent.mcp import (
        AgentTool,
        Elicitation,
        MCPServer,
        MCPServers,
        MCPService,
        MCPTool,
        OAuth,
        SamplingRequest,
        ServerStatus,
        mcp_servers,
        serve_mcp,
    )
    from kimi_agent.message_json import dump_messages, from_openai, load_messages, to_openai
    from kimi_agent.models.completions_endpoint import CompletionsEndpoint
    from kimi_agent.models.endpoint import ChatEndpoint
    from kimi_agent.models.fallback import FallbackModel
    from kimi_agent.models.limited import LimitedModel
    from kimi_agent.models.limiter import Limiter
    from kimi_agent.models.messages_endpoint import MessagesEndpoint
    from kimi_agent.models.moonshot import Moonshot
    from kimi_agent.models.profiles import profile_for
    from kimi_agent.models.scripted import FunctionModel, Reply, ScriptedCall, ScriptedModel, call
    from kimi_agent.tooling.hosted import moonshot_web_search

__version__ = "0.1.0"

# Not every program needs these, and they take a while to import: they come when they are first asked for.
_LATER = {
    **dict.fromkeys(("dump_messages", "from_openai", "load_messages", "to_openai"), "kimi_agent.message_json"),
    "ChatEndpoint": "kimi_agent.models.endpoint",
    "CompletionsEndpoint": "kimi_agent.models.completions_endpoint",
    "FallbackModel": "kimi_agent.models.fallback",
    "LimitedModel": "kimi_agent.models.limited",
    "Limiter": "kimi_agent.models.limiter",
    **dict.fromkeys(("AgentTool", "MCPService", "serve_mcp"), "kimi_agent.mcp"),
    **dict.fromkeys(("Elicitation", "OAuth", "SamplingRequest", "ServerStatus"), "kimi_agent.mcp"),
    **dict.fromkeys(("MCPServer", "MCPServers", "MCPTool", "mcp_servers"), "kimi_agent.mcp"),
    "MessagesEndpoint": "kimi_agent.models.messages_endpoint",
    "Moonshot": "kimi_agent.models.moonshot",
    "moonshot_web_search": "kimi_agent.tooling.hosted",
    "profile_for": "kimi_agent.models.profiles",
    **dict.fromkeys(("FunctionModel", "Reply", "ScriptedCall", "ScriptedModel", "call"), "kimi_agent.models.scripted"),
}


def __getattr__(name: str) -> Any:
    if (module := _LATER.get(name)) is None:
        raise AttributeError(f"module 'kimi_agent' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Agent",
    "AgentTool",
    "ApprovalRequested",
    "Approve",
    "Approver",
    "AssistantMessage",
    "AuthenticationError",
    "BadRequest",
    "BadResponse",
    "ChatEndpoint",
    "CompletionsEndpoint",
    "ConnectionFailed",
    "ContextLengthExceeded",
    "Decline",
    "Elicitation",
    "Event",
    "FallbackModel",
    "File",
    "FunctionModel",
    "FunctionToolset",
    "Healed",
    "Healing",
    "Hooks",
    "Image",
    "InputReceived",
    "Journal",
    "JsonSchema",
    "KimiAgentError",
    "LimitedModel",
    "Limiter",
    "Limits",
    "MCPServer",
    "MCPServerError",
    "MCPServers",
    "MCPService",
    "MCPTool",
    "MemoryJournal",
    "Message",
    "MessagesEndpoint",
    "Model",
    "ModelRequest",
    "ModelRetry",
    "ModelSettings",
    "Moonshot",
    "NativeOutput",
    "NoOutput",
    "OAuth",
    "Overloaded",
    "Pending",
    "Price",
    "Profile",
    "PromptedOutput",
    "ProviderError",
    "ProviderTimeout",
    "QuotaExceeded",
    "RateLimited",
    "ReasoningBegin",
    "ReasoningDelta",
    "ReasoningEnd",
    "Reply",
    "ResumeOptions",
    "RunBegin",
    "RunContext",
    "RunEnd",
    "RunOptions",
    "RunResult",
    "RunStream",
    "SamplingRequest",
    "ScriptedCall",
    "ScriptedModel",
    "ServerStatus",
    "StatusError",
    "StreamBroken",
    "SystemMessage",
    "Text",
    "TextBegin",
    "TextDelta",
    "TextEnd",
    "Timeouts",
    "Tool",
    "ToolBegin",
    "ToolCall",
    "ToolCallBegin",
    "ToolCallDelta",
    "ToolCallEnd",
    "ToolDefinitionError",
    "ToolEnd",
    "ToolLog",
    "ToolMessage",
    "ToolOutput",
    "ToolProgress",
    "ToolResult",
    "ToolRules",
    "ToolSpec",
    "Toolset",
    "TurnBegin",
    "TurnEnd",
    "Usage",
    "UserError",
    "UserMessage",
    "Video",
    "call",
    "dump_messages",
    "from_openai",
    "load_messages",
    "mcp_servers",
    "moonshot_web_search",
    "profile_for",
    "serve_mcp",
    "to_openai",
    "tool",
]
