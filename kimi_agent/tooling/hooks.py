"""Hook points of the loop, around turn, model call and tool call: subclass `Hooks` and override what you need.

Several hooks lie around each other like the skins of an onion: what comes `before` is asked in their order, each with what the one
before it returned; what comes `after` in the opposite order. The first in the list is the outermost: it sees the request first and
the answer last. What a hook raises ends the run; `context.cancel(reason)` ends it in order, with that stop reason.
"""

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar, cast, get_origin

from kimi_agent.errors import UserError
from kimi_agent.messages import AssistantMessage, ToolCall, ToolMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult

T = TypeVar("T")


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


def expect(value: object, kind: type[T], hook: Hooks, method: str, wanted: str) -> T:
    """What a hook returned, if it is of this kind; nothing else gets into a journal. Raises UserError."""
    if isinstance(value, get_origin(kind) or kind):
        return cast(T, value)
    raise UserError(f"{type(hook).__name__}.{method} returned {value!r:.80}: return {wanted}")


def check_hooks(hooks: object) -> None:
    """Slips that would show in mid-run, or never. Raises UserError."""
    if isinstance(hooks, Hooks):
        raise UserError("hooks= takes a list: hooks=[…]")
    points = [name for name in vars(Hooks) if not name.startswith("_")]
    for hook in cast(Sequence[object], hooks):
        if not isinstance(hook, Hooks):
            made = f": write {hook.__name__}()" if isinstance(hook, type) and issubclass(hook, Hooks) else ""
            raise UserError(f"hooks= takes objects of subclasses of Hooks, not {hook!r:.80}{made}")
        for name in dir(type(hook)):
            if name in points and not inspect.iscoroutinefunction(getattr(hook, name)):
                raise UserError(f"{type(hook).__name__}.{name} must be async: async def {name}(…)")
            if name.startswith(("before_", "after_")) and name not in points:
                raise UserError(f"{type(hook).__name__}.{name} is no hook; there are {', '.join(points)}")
