"""Sampling: a server asks for a model's answer. Off unless it is switched on: it spends the user's money on a stranger's prompt.

The model sees what the server sent and nothing else: no history, no tools, whatever context the server asks for. A request that
belongs to a call of a run counts against that run's limits; any other goes to the server's own `sampling_model`, or is refused.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import mcp_types as types

from kimi_agent.errors import KimiAgentError, StreamBroken
from kimi_agent.messages import AssistantMessage, File, Image, Message, SystemMessage, Text, UserMessage
from kimi_agent.models.base import Model, ModelRequest
from kimi_agent.models.resolve import resolve_model
from kimi_agent.redact import get_logger, redact
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.context import RunContext
from kimi_agent.turn import Turn

log = get_logger(__name__)
REFUSED = -1  # the code that the specification's examples have for a user who rejects a sampling request


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """What a server asks a model.

    Attributes:
        server: its name.
        messages: what the model is to answer.
        instructions: the system prompt that it wishes; "" for none.
        settings: how much, how warm, and until what.
    """

    server: str
    messages: tuple[Message, ...]
    instructions: str
    settings: ModelSettings


Sampling: TypeAlias = Callable[[SamplingRequest], Awaitable[AssistantMessage | str | None]]
"""Answers instead of the run's model; None refuses."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """Answers the requests of one server."""

    server: str
    allowed: bool | Sampling
    model: str | Model | None

    async def answer(
        self, params: types.CreateMessageRequestParams, context: RunContext[Any] | None
    ) -> types.CreateMessageResult | types.ErrorData:
        """The model's answer; what went wrong is the server's to hear, not the run's."""
        try:
            request = _request(self.server, params)
            return _result(await self._said(request, context))
        except _Refused as e:
            return types.ErrorData(code=REFUSED, message=str(e))
        except KimiAgentError as e:
            log.info("sampling for the MCP server %s failed", self.server, exc_info=e)
            return types.ErrorData(code=types.INTERNAL_ERROR, message=redact(f"the model could not be asked: {e}"))

    async def _said(self, request: SamplingRequest, context: RunContext[Any] | None) -> AssistantMessage:
        if callable(self.allowed):
            said = await self.allowed(request)
            if said is None:
                raise _Refused("the user rejected the sampling request")
            return AssistantMessage(said) if isinstance(said, str) else said
        if context is not None:
            return await context.ask_model(request.messages, instructions=request.instructions, settings=request.settings)
        if self.model is None:
            raise _Refused("sampling is only answered while a call of one run is under way: this request belongs to none")
        return await _ask(resolve_model(self.model), request)


class _Refused(Exception):
    """The text is for the server."""


def _request(server: str, params: types.CreateMessageRequestParams) -> SamplingRequest:
    if params.tools or params.tool_choice:
        raise _Refused("sampling with tools is not supported")
    settings = ModelSettings(
        max_tokens=max(1, params.max_tokens), temperature=params.temperature, stop=tuple(params.stop_sequences or ()) or None
    )
    return SamplingRequest(server, tuple(_message(m) for m in params.messages), params.system_prompt or "", settings)


def _message(message: types.SamplingMessage) -> Message:
    parts = [_part(block) for block in message.content_as_list]
    if message.role == "user":
        return UserMessage(parts)
    if not all(isinstance(part, Text) for part in parts):
        raise _Refused("what the assistant is to have said must be text")
    return AssistantMessage("".join(part.text for part in parts if isinstance(part, Text)))


def _part(block: types.SamplingMessageContentBlock) -> Text | Image | File:
    match block:
        case types.TextContent():
            return Text(block.text)
        case types.ImageContent():
            return Image(base64.b64decode(block.data), block.mime_type)
        case types.AudioContent():
            return File(base64.b64decode(block.data), "audio", block.mime_type)
        case _:
            raise _Refused("sampling with tools is not supported")


def _result(message: AssistantMessage) -> types.CreateMessageResult:
    reasons = {"length": "maxTokens", "stop": "endTurn"}
    return types.CreateMessageResult(
        role="assistant",
        content=types.TextContent(text=message.text),
        model=message.model or "kimi",
        stop_reason=reasons.get(message.finish_reason or "stop", "endTurn"),
    )


async def _ask(model: Model, request: SamplingRequest) -> AssistantMessage:
    """The server's own model, outside of any run. Raises ProviderError."""
    messages: Sequence[Message] = request.messages
    if request.instructions:
        messages = (SystemMessage(request.instructions), *messages)
    turn = Turn(_unheard, str, 0)
    async with aclosing(model.stream(ModelRequest(messages=tuple(messages), settings=request.settings))) as parts:
        async for part in parts:
            turn.feed(part)
    if not turn.finished:
        raise StreamBroken("the answer broke off")
    return turn.message()


def _unheard(*event: Any, **more: Any) -> None:
    """Nobody watches."""
