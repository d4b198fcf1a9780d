"""`ctx.ask_model` of a served tool: the client's model is asked, through sampling."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mcp_types as types

from kimi_agent.errors import UserError
from kimi_agent.messages import AssistantMessage, File, Image, Message, Part, SystemMessage, Text, ToolMessage, Video
from kimi_agent.settings import ModelSettings

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall

_MAX_TOKENS = 4096  # the protocol wants a number where ours may be left open


async def ask_model(
    call: "ServedCall", messages: Sequence[Message], instructions: str, settings: ModelSettings
) -> AssistantMessage:
    """Raises UserError for what sampling cannot carry, or where the client has none, and ClientRefused."""
    capabilities = call.request.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        raise UserError("the client offers no sampling: it lends no model to servers")
    system = "\n\n".join([instructions, *(m.content for m in messages if isinstance(m, SystemMessage))]).strip()
    stop = [settings.stop] if isinstance(settings.stop, str) else list(settings.stop or ())
    params = types.CreateMessageRequestParams(
        messages=[sampled for m in messages for sampled in _sampled(m)],
        system_prompt=system or None,
        max_tokens=settings.max_tokens or _MAX_TOKENS,
        temperature=settings.temperature,
        stop_sequences=stop or None,
    )
    return _message(await call.ask(types.CreateMessageRequest(params=params), types.CreateMessageResult))


def _sampled(message: Message) -> list[types.SamplingMessage]:
    """One message for each part: versions before 2025-11-25 take no lists."""
    if isinstance(message, SystemMessage):
        return []
    if isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls):
        raise UserError("sampling takes no tool calls or results: put what they said into a user message")
    if isinstance(message, AssistantMessage):
        return [types.SamplingMessage(role="assistant", content=types.TextContent(text=message.text))]
    return [types.SamplingMessage(role="user", content=_block(p)) for p in message.content]


def _block(part: Part) -> Any:
    if isinstance(part, Video) or (isinstance(part, Image) and part.data is None):
        raise UserError("sampling takes images by their bytes only: no URL, no video")
    if isinstance(part, Image):
        assert part.data is not None
        return types.ImageContent(data=base64.b64encode(part.data).decode(), mime_type=part.media_type)
    if isinstance(part, File) and part.media_type.startswith("audio/"):
        return types.AudioContent(data=base64.b64encode(part.data).decode(), mime_type=part.media_type)
    return types.TextContent(text=part.text if isinstance(part, Text) else part.as_text)


def _message(answer: types.CreateMessageResult) -> AssistantMessage:
    content: Any = answer.content
    blocks: list[Any] = content if isinstance(content, list) else [content]  # pyright: ignore[reportUnknownVariableType]
    return AssistantMessage(
        text="".join(b.text for b in blocks if b.type == "text"),
        images=tuple(Image(base64.b64decode(b.data), b.mime_type) for b in blocks if b.type == "image"),
        finish_reason=answer.stop_reason,
        model=answer.model,
    )
