"""Sampling: a server asks for a model's answer. Off unless it is switched on: it spends the user's money on a stranger's prompt.

The model sees what the server sent and nothing else: no history, no tools, whatever context the server asks for. A request that
belongs to a call of a run counts against that run's limits, and ends with the call; any other goes to the server's own
`sampling_model`, or is refused. What goes wrong is logged, and told in fixed words: what a hook, a callback or an endpoint says is
not for strangers.
"""

import asyncio
import base64
import binascii
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from logging import INFO, WARNING
from typing import TypeAlias

import mcp_types as types

from kimi_agent.errors import KimiAgentError, UserError
from kimi_agent.healing import Healing
from kimi_agent.mcp.client.inflight import CallOver, Origin
from kimi_agent.messages import AssistantMessage, File, Image, Message, SystemMessage, Text, UserMessage
from kimi_agent.models.base import Model, ModelRequest
from kimi_agent.models.resolve import resolve_model
from kimi_agent.redact import get_logger
from kimi_agent.settings import ModelSettings
from kimi_agent.whole import Answer

log = get_logger(__name__)
_FORBIDDEN = "the model could not be asked: the run has reached a limit, is over, or cannot ask this"
_FAILED = "the model could not be asked"
TOO_MANY = "too many sampling requests that belong to no run: ask again in a minute"
_A_MINUTE = 20
_LONGEST = 32_768  # tokens of an answer, whatever a server asks for
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
        self, params: types.CreateMessageRequestParams, origin: Origin | None
    ) -> types.CreateMessageResult | types.ErrorData:
        """The model's answer; what went wrong is the server's to hear, not the run's."""
        try:
            request = _request(self.server, params)
            async with nullcontext() if origin is None else origin.errand():
                said = await self._said(request, origin)
            return _result(said)
        except _Refused as e:
            return types.ErrorData(code=REFUSED, message=str(e))
        except CallOver:
            return types.ErrorData(code=REFUSED, message="the call that this sampling request belonged to is over")
        except Exception as e:
            own = isinstance(e, KimiAgentError)
            log.log(INFO if own else WARNING, "sampling for the MCP server %s failed", self.server, exc_info=e)
            return types.ErrorData(code=types.INTERNAL_ERROR, message=_FORBIDDEN if isinstance(e, UserError) else _FAILED)

    async def _said(self, request: SamplingRequest, origin: Origin | None) -> AssistantMessage:
        if callable(self.allowed):
            said = await self.allowed(request)
            if said is None:
                raise _Refused("the user rejected the sampling request")
            return AssistantMessage(said) if isinstance(said, str) else said
        if self.allowed and origin is not None:
            return await origin.context.ask_model(request.messages, instructions=request.instructions, settings=request.settings)
        if self.model is None:
            raise _Refused("sampling is only answered while a call of one run is under way: this request belongs to none")
        return await _ask(resolve_model(self.model), request)


class Apart:
    """Bounds the requests that belong to no run: one at a time, and so many in a minute."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._asked: deque[float] = deque()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[bool]:
        """Whether another may be asked now."""
        now = time.monotonic()
        while self._asked and now - self._asked[0] > 60:
            self._asked.popleft()
        if len(self._asked) >= _A_MINUTE:
            yield False
            return
        self._asked.append(now)
        async with self._one:
            yield True


class _Refused(Exception):
    """The text is for the server."""


def _request(server: str, params: types.CreateMessageRequestParams) -> SamplingRequest:
    if params.tools or params.tool_choice:
        raise _Refused("sampling with tools is not supported")
    settings = ModelSettings(
        max_tokens=min(max(1, params.max_tokens), _LONGEST),
        temperature=params.temperature,
        stop=tuple(params.stop_sequences or ()) or None,
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
            return Image(_decoded(block.data), block.mime_type)
        case types.AudioContent():
            return File(_decoded(block.data), "audio", block.mime_type)
        case _:
            raise _Refused("sampling with tools is not supported")


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        raise _Refused("an image or a sound is no base64") from None


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
    return await Answer(model, ModelRequest(messages=tuple(messages), settings=request.settings), Healing()).read()
