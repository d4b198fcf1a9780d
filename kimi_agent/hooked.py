"""The hooks around turn and model call, asked in their order: inwards before, outwards after."""

from collections.abc import AsyncGenerator, Sequence

from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.run import Run
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.model_hooks import after_model, before_model
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
    asked, hooks = await before_model(run.plan.hooks, run.context(), request)
    return _as_parts(asked) if isinstance(asked, AssistantMessage) else run.plan.model.stream(asked), hooks


async def seen(run: Run, message: AssistantMessage, hooks: Sequence[Hooks]) -> AssistantMessage:
    """The answer as the hooks leave it. Raises UserError for one that changes the calls."""
    return await after_model(hooks, run.context(), message)


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
