"""What the tests of `ctx.ask_model` share: tools that ask, models that answer, and a hook that watches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kimi_agent import (
    AssistantMessage,
    FunctionModel,
    Hooks,
    Message,
    ModelRequest,
    RunContext,
    Text,
    ToolMessage,
    Usage,
    UserMessage,
    call,
    tool,
)

USED = Usage(requests=1, input_tokens=100, output_tokens=20)
MARK = "apart: "


def is_aside(request: ModelRequest) -> bool:
    last = request.messages[-1]
    return isinstance(last, UserMessage) and last.text.startswith(MARK)


def apart(question: str = "?") -> list[Message]:
    return [UserMessage(MARK + question)]


@tool
async def ask(ctx: RunContext[Any], times: int = 1) -> str:
    """Asks the model."""
    return " ".join([(await ctx.ask_model(apart())).text for _ in range(times)])


def results(messages: Sequence[Message]) -> list[str]:
    return [m.text for m in messages if isinstance(m, ToolMessage)]


def answering(aside: Any, turns: Sequence[Any] = (call("ask"), "Done.")) -> FunctionModel:
    """Plays `turns` as the run's turns, and answers every aside with `aside`, a step or a function of the request."""
    steps = iter(turns)
    return FunctionModel(lambda request: (aside(request) if callable(aside) else aside) if is_aside(request) else next(steps))


class Redaction(Hooks):
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def before_model(self, context: RunContext[Any], request: ModelRequest) -> ModelRequest | AssistantMessage:
        self.seen.append(f"asked {context.call_id[:4]}")
        clean = [UserMessage([Text(m.text.replace("4711", "####"))]) if isinstance(m, UserMessage) else m for m in request.messages]
        return replace(request, messages=tuple(clean))

    async def after_model(self, context: RunContext[Any], message: AssistantMessage) -> AssistantMessage | None:
        self.seen.append(f"answered {context.call_id[:4]}")
        return replace(message, text=message.text.replace("0815", "####"))
