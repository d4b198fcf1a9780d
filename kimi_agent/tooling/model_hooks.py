"""The hooks around one request to the model, whoever makes it: inwards before it is sent, outwards when it is answered."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.messages import AssistantMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.hooks import Hooks, expect

_at_work: ContextVar[tuple[Hooks, ...]] = ContextVar("kimi_agent_hooks_at_work", default=())


async def before_model(
    hooks: Sequence[Hooks], context: RunContext[Any], request: ModelRequest
) -> tuple[ModelRequest | AssistantMessage, Sequence[Hooks]]:
    """The request as it should be sent, or the answer of a hook; and the hooks that are to see the answer, outermost first."""
    for i, hook in enumerate(hooks):
        with _working(hook):
            asked: Any = await hook.before_model(context, request)
        if isinstance(asked, AssistantMessage):
            return asked, hooks[:i]
        request = expect(asked, ModelRequest, hook, "before_model", "a ModelRequest or an AssistantMessage")
    return request, hooks


async def after_model(hooks: Sequence[Hooks], context: RunContext[Any], message: AssistantMessage) -> AssistantMessage:
    """The answer as the hooks leave it. Raises UserError for one that changes the calls."""
    calls = message.tool_calls
    for hook in reversed(hooks):
        with _working(hook):
            left: Any = await hook.after_model(context, message)
        if left is not None:
            message = expect(left, AssistantMessage, hook, "after_model", "an AssistantMessage or None")
        if message.tool_calls != calls:
            raise UserError(f"{type(hook).__name__}.after_model changed the calls: they may be running; use before_tool")
    return message


def at_rest(hooks: Sequence[Hooks]) -> Sequence[Hooks]:
    """Those of the hooks that this code is not called by: one that asks the model itself would otherwise be asked for ever."""
    busy = _at_work.get()
    return [hook for hook in hooks if not any(hook is other for other in busy)] if busy else hooks


@contextmanager
def _working(hook: Hooks) -> Generator[None]:
    token = _at_work.set((*_at_work.get(), hook))
    try:
        yield
    finally:
        _at_work.reset(token)
