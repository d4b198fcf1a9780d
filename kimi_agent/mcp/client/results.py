"""What a server answers, as what the model sees and the program gets. What is left out of it is said."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

import mcp_types as types

from kimi_agent.messages import AssistantMessage, File, Image, Message, Part, Text, UserMessage
from kimi_agent.tooling.media import clean_media_type, image_type
from kimi_agent.tooling.result import ToolResult

_NO_CONTENT = "The tool returned nothing."
_MOST_IMAGES = 20  # of one result: every further request sends them again
_MOST_IMAGE_BYTES = 20_000_000  # of all of them
_MOST_MARKS = 1_000_000  # of JSON in a text that is read, to see whether it is the structured content


def tool_result(answer: types.CallToolResult, note: str = "") -> ToolResult:
    """The result of a call. `value` is the structured content where there is one, else the text, for readers of the events.

    Structured content whose text the server left out is written as JSON, so that the model sees it; `note` stands last.
    """
    parts = _within_bounds(part for block in answer.content for part in _parts_of(block))
    structured = answer.structured_content
    texts = [part.text for part in parts if isinstance(part, Text)]
    if structured is not None and not _says(texts, structured):
        parts.append(Text(_as_json(structured)))
    if note:
        parts.append(Text(note))
    value = structured if structured is not None else "\n".join(texts)
    return ToolResult(parts or [Text("The tool failed." if answer.is_error else _NO_CONTENT)], answer.is_error, value)


def _within_bounds(parts: Iterable[Part]) -> list[Part]:
    """The parts without the images that are too many or too large; what was left out is said last."""
    kept, images, size, left_out = list[Part](), 0, 0, list[int]()
    for part in parts:
        if isinstance(part, Image) and part.data is not None:
            if images == _MOST_IMAGES or size + len(part.data) > _MOST_IMAGE_BYTES:
                left_out.append(len(part.data))
                continue
            images, size = images + 1, size + len(part.data)
        kept.append(part)
    if left_out:
        most = f"{_MOST_IMAGES} images and {_MOST_IMAGE_BYTES // 10**6} MB"
        kept.append(Text(f"[{len(left_out)} images of {sum(left_out):,} bytes left out: a result holds at most {most}]"))
    return kept


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
        if sum(map(text.count, "[{,")) > _MOST_MARKS:
            continue
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
    return _binary(resource.blob, resource.mime_type, str(resource.uri))


def resource_file(resource: types.TextResourceContents | types.BlobResourceContents) -> File | Image | Text:
    """A resource's contents for a program, unchanged: a file named by its URI, or an image."""
    if isinstance(resource, types.TextResourceContents):
        media_type = clean_media_type(resource.mime_type or "text/plain")
        return File(resource.text.encode(errors="replace"), str(resource.uri), media_type)
    return _binary(resource.blob, resource.mime_type, str(resource.uri))


def _binary(data: str, told: str | None, name: str) -> File | Image | Text:
    """An image where the bytes are one that models take, under the type that they have; endpoints refuse all others, now and later
    in the history."""
    media_type = clean_media_type(told)
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return Text(f"[{name}, {media_type}: its base64 is broken]")
    if not media_type.startswith("image/"):
        return File(content, name, media_type)
    if not content:
        return Text(f"[{name}, {media_type}: it is empty]")
    kind = image_type(content)
    return Image(content, kind) if kind else File(content, name, media_type)


def prompt_messages(answer: types.GetPromptResult) -> tuple[Message, ...]:
    """A prompt's messages; what an assistant is to have said is its text."""
    messages: list[Message] = []
    for message in answer.messages:
        parts = _within_bounds(_parts_of(message.content))
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
