"""What a server answers, as what the model sees and the program gets. Nothing of it is lost."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

import mcp_types as types

from kimi_agent.messages import AssistantMessage, File, Image, Message, Part, Text, UserMessage
from kimi_agent.tooling.result import ToolResult

_NO_CONTENT = "The tool returned nothing."


def tool_result(answer: types.CallToolResult, note: str = "") -> ToolResult:
    """The result of a call. `value` is the structured content where there is one, else the text, for readers of the events.

    Structured content whose text the server left out is written as JSON, so that the model sees it; `note` stands last.
    """
    parts = [part for block in answer.content for part in _parts_of(block)]
    structured = answer.structured_content
    texts = [part.text for part in parts if isinstance(part, Text)]
    if structured is not None and not _says(texts, structured):
        parts.append(Text(_as_json(structured)))
    if note:
        parts.append(Text(note))
    value = structured if structured is not None else "\n".join(texts)
    return ToolResult(parts or [Text("The tool failed." if answer.is_error else _NO_CONTENT)], answer.is_error, value)


def _as_json(structured: Any) -> str:
    try:
        return json.dumps(structured, ensure_ascii=False)
    except (ValueError, RecursionError):  # nested too deep
        return "[The tool's structured content cannot be shown.]"


def _says(texts: Iterable[str], structured: Any) -> bool:
    """Whether the texts hold the structured content already, as the specification wishes: whole as JSON, or, where it is one value
    under a name (`{"result": …}`), that value."""
    wanted = [structured]
    if isinstance(structured, dict) and len(structured) == 1:  # pyright: ignore[reportUnknownArgumentType]
        wanted.extend(structured.values())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    for text in texts:
        if text in wanted:
            return True
        try:
            if json.loads(text) in wanted:
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _parts_of(block: types.ContentBlock) -> list[Part]:
    match block:
        case types.TextContent():
            return [Text(block.text)]
        case types.ImageContent():
            return [_binary(block.data, block.mime_type, "image")]
        case types.AudioContent():
            return [_binary(block.data, block.mime_type, "audio")]
        case types.ResourceLink():
            return [Text(f"[resource {block.title or block.name}: {block.uri}{_about(block)}]")]
        case types.EmbeddedResource():
            return [resource_part(block.resource)]


def _about(link: types.ResourceLink) -> str:
    told = ", ".join(filter(None, [link.mime_type, link.description]))
    return f" ({told})" if told else ""


def resource_part(resource: types.TextResourceContents | types.BlobResourceContents) -> Part:
    """A resource's contents: text as text, whatever its media type says; an image as such; all else as a file."""
    if isinstance(resource, types.TextResourceContents):
        return Text(f"[{resource.uri}]\n{resource.text}")
    return _binary(resource.blob, resource.mime_type or "application/octet-stream", str(resource.uri))


def resource_file(resource: types.TextResourceContents | types.BlobResourceContents) -> File | Image | Text:
    """A resource's contents for a program, unchanged: a file named by its URI, or an image."""
    if isinstance(resource, types.TextResourceContents):
        return File(resource.text.encode(errors="replace"), str(resource.uri), resource.mime_type or "text/plain")
    return _binary(resource.blob, resource.mime_type or "application/octet-stream", str(resource.uri))


def _binary(data: str, media_type: str, name: str) -> File | Image | Text:
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return Text(f"[{name}, {media_type}: its base64 is broken]")
    if not content and media_type.startswith("image/"):  # no endpoint takes an empty image, now or later in the history
        return Text(f"[{name}, {media_type}: it is empty]")
    return Image(content, media_type) if media_type.startswith("image/") else File(content, name, media_type)


def prompt_messages(answer: types.GetPromptResult) -> tuple[Message, ...]:
    """A prompt's messages; what an assistant is to have said is its text."""
    messages: list[Message] = []
    for message in answer.messages:
        parts = _parts_of(message.content)
        if message.role == "assistant":
            messages.append(AssistantMessage("".join(p.text if isinstance(p, Text) else str(p) for p in parts)))
        else:
            messages.append(UserMessage(parts))
    return tuple(messages)


def said(text: str) -> ToolResult:
    """A failure, as the model reads it."""
    return ToolResult(text, is_error=True)


def annotations_of(tool: types.Tool) -> Mapping[str, Any]:
    """What the server says of its tool; hints, not promises."""
    return tool.annotations.model_dump(exclude_none=True) if tool.annotations else {}
