"""What a tool or a prompt says, as content blocks of the protocol."""

import base64
from typing import Any, Final
from urllib.parse import quote

import mcp_types as types

from kimi_agent.messages import Content, File, Image, Part, Text, parts_of
from kimi_agent.redact import excerpt, redact

_MOST_MASKED = 65_536  # characters
BLOCKS: Final = (types.TextContent, types.ImageContent, types.AudioContent, types.ResourceLink, types.EmbeddedResource)


def block_of(part: Part) -> types.ContentBlock:
    """A part as the client gets it: images and audio by their bytes, other files as embedded resources."""
    if isinstance(part, Text):
        return types.TextContent(text=part.text)
    if isinstance(part, Image):
        if part.data is None:
            return types.ResourceLink(name="image", uri=part.url or "", mime_type=part.media_type)
        return types.ImageContent(data=_base64(part.data), mime_type=part.media_type)
    if part.media_type.startswith("audio/"):
        return types.AudioContent(data=_base64(part.data), mime_type=part.media_type)
    return types.EmbeddedResource(resource=contents_of(part, uri_of(part)))


def contents_of(file: File, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
    """A file's bytes, as text where it says that it is text, and is."""
    kind = file.media_type.split(";")[0].strip()
    if kind.startswith("text/") or kind in ("application/json", "application/xml") or kind.endswith(("+json", "+xml")):
        try:
            return types.TextResourceContents(uri=uri, mime_type=file.media_type, text=file.data.decode())
        except UnicodeDecodeError:
            pass
    return types.BlobResourceContents(uri=uri, mime_type=file.media_type, blob=_base64(file.data))


def uri_of(file: File) -> str:
    """Its name where that is a URI, else one made of the name."""
    return file.name if "://" in file.name else f"kimi-agent://files/{quote(file.name, safe='')}"


def given_blocks(value: Any) -> list[types.ContentBlock] | None:
    """The blocks, where a tool returns blocks of the protocol itself, alone or in a list; else None."""
    if isinstance(value, BLOCKS):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(v, BLOCKS) for v in value):  # pyright: ignore[reportUnknownVariableType]
        return list(value)  # pyright: ignore[reportUnknownArgumentType]
    return None


def failure(text: str) -> types.CallToolResult:
    """A result that the client's model should read as an error."""
    return types.CallToolResult(content=[types.TextContent(text=masked(text))], is_error=True)


def masked_failure(result: types.CallToolResult) -> types.CallToolResult:
    """An error result without secrets: exceptions quote what was sent where."""
    content: list[types.ContentBlock] = [
        b.model_copy(update={"text": masked(b.text)}) if isinstance(b, types.TextContent) else b for b in result.content
    ]
    return result.model_copy(update={"content": content})


def masked_parts(content: Content) -> list[Part]:
    """The same for what is to be cut yet: half a secret is not known for one."""
    return [Text(masked(p.text)) if isinstance(p, Text) else p for p in parts_of(content)]


def masked(text: str) -> str:
    """A text that tells a client what went on, without the secrets of this process. One that is very long is cut: to mask all of
    it would hold up other clients."""
    return redact(text) if len(text) <= _MOST_MASKED else excerpt(text, _MOST_MASKED)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
