"""Hook points of the loop: subclass `Hooks` and override what you need. Several are called in order, each with what the one
before it returned; an exception ends the run."""

from typing import Any

from kimi_agent.messages import AssistantMessage, ToolCall, ToolMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult


class Hooks:
    """Does nothing; override what you need."""

    async def before_model(self, context: RunContext[Any], request: ModelRequest, /) -> ModelRequest:
        """The request as it should be sent."""
        return request

    async def after_model(self, context: RunContext[Any], message: AssistantMessage, /) -> None:
        """The model's turn has ended; its calls may be running."""

    async def before_tool(
        self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any], /
    ) -> dict[str, Any] | ToolResult:
        """The arguments as the tool should get them, or a result: then the tool does not run."""
        return arguments

    async def after_tool(self, context: RunContext[Any], call: ToolCall, result: ToolMessage, /) -> ToolMessage:
        """The result as the model should see it. Called for every call, also for those that could not run."""
        return result
