"""The hooks around turn and model call, asked in their order: inwards before, outwards after."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from kimi_agent.errors import UserError
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.run import Run
from kimi_agent.tooling.hooks import Hooks, expect
from kimi_agent.wire.parts import (
    CallArguments,
    CallBegin,
    CallEnd,
    Finish,
    ImagePart,
    ReasoningPart,
    ResponseInfo,
    TextPart,
    UsagePart,
    WirePart,
)


async def answering(run: Run, request: ModelRequest) -> tuple[AsyncGenerator[WirePart], Sequence[Hooks]]:
    """The model's answer, or that of a hook which answers for it; and the hooks that are to see it, outermost first."""
    hooks = run.plan.hooks
    for i, hook in enumerate(hooks):
        asked: Any = await hook.before_model(run.context(), request)
        if isinstance(asked, AssistantMessage):
            return _as_parts(asked), hooks[:i]
        request = expect(asked, ModelRequest, hook, "before_model", "a ModelRequest or an AssistantMessage")
    return run.plan.model.stream(request), hooks


async def seen(run: Run, message: AssistantMessage, hooks: Sequence[Hooks]) -> AssistantMessage:
    """The answer as the hooks leave it. Raises UserError for one that changes the calls."""
    calls = message.tool_calls
    for hook in reversed(hooks):
        left: Any = await hook.after_model(run.context(), message)
        if left is not None:
            message = expect(left, AssistantMessage, hook, "after_model", "an AssistantMessage or None")
        if message.tool_calls != calls:
            raise UserError(f"{type(hook).__name__}.after_model changed the calls: they may be running; use before_tool")
    return message


async def turn_over(run: Run) -> None:
    """Tells the hooks of the turn that is over, and of all results that its calls have so far."""
    turn, finished = run.conversation.open_turn, run.conversation.finished
    for hook in reversed(run.plan.hooks if turn is not None else ()):
        assert turn is not None
        await hook.after_turn(run.context(), turn, [finished[c.id] for c in turn.tool_calls if c.id in finished])


async def _as_parts(message: AssistantMessage) -> AsyncGenerator[WirePart]:
    """A whole message as a model would stream it; it costs nothing."""
    yield ResponseInfo(model=message.model)
    if message.reasoning is not None:
        yield ReasoningPart(message.reasoning)
    if message.text:
        yield TextPart(message.text)
    for image in message.images:
        yield ImagePart(image)
    for key, call in enumerate(message.tool_calls):
        yield CallBegin(key, call.name, call.raw_id)
        yield CallArguments(key, call.arguments)
        yield CallEnd(key)
    yield UsagePart(Usage())
    yield Finish(message.finish_reason)
