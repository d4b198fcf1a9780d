"""Hook points of the loop, around turn, model call and tool call: subclass `Hooks` and override what you need.

Several hooks lie around each other like the skins of an onion: what comes `before` is asked in their order, each with what the one
before it returned; what comes `after` in the opposite order. The first in the list is the outermost: it sees the request first and
the answer last. What a hook raises ends the run; `context.cancel(reason)` ends it in order, with that stop reason.
"""

from collections.abc import Sequence
from typing import Any

from kimi_agent.messages import AssistantMessage, ToolCall, ToolMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult


class Hooks:
    """Does nothing; override what you need."""

    async def before_turn(self, context: RunContext[Any], /) -> None:
        """The model is about to be asked for another turn."""

    async def before_model(self, context: RunContext[Any], request: ModelRequest, /) -> ModelRequest | AssistantMessage:
        """The request as it should be sent, or an answer: then the model is not asked, nor the hooks further inside. Its calls get
        ids of their own and are run."""
        return request

    async def after_model(self, context: RunContext[Any], message: AssistantMessage, /) -> AssistantMessage | None:
        """The answer as it should stand in the history; None: as it is.

        Text, reasoning and images may be changed, the calls may not: they may be running. Pieces of the text may have been seen
        by those who watch the stream.
        """

    async def before_tool(
        self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any], /
    ) -> dict[str, Any] | ToolResult:
        """The arguments as the tool should get them, or a result: then the tool does not run."""
        return arguments

    async def after_tool(self, context: RunContext[Any], call: ToolCall, result: ToolMessage, /) -> ToolMessage:
        """The result as the model should see it. Called for every call, also for those that could not run."""
        return result

    async def after_turn(self, context: RunContext[Any], message: AssistantMessage, results: Sequence[ToolMessage], /) -> None:
        """The turn is over, and these are the results of its calls; a call that waits has none yet."""
