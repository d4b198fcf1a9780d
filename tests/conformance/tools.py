"""The tools that the official suite calls: their names and their answers are the suite's, written as any user writes a tool."""

import asyncio
import base64
import io
import wave
from typing import Annotated, Any

from pydantic import Field

from kimi_agent import File, Image, ModelSettings, RunContext, Tool, UserError, UserMessage, tool
from kimi_agent.mcp import caller

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="  # one pixel
)
IMAGE = Image(PNG, "image/png")


def silence() -> bytes:
    """A WAV file of one millisecond."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 8, "NONE", ""))
        sound.writeframes(bytes(16))
    return file.getvalue()


@tool
def test_simple_text() -> str:
    """Answers with a text."""
    return "This is a simple text response for testing."


@tool
def test_image_content() -> Image:
    """Answers with an image."""
    return IMAGE


@tool
def test_audio_content() -> File:
    """Answers with a sound."""
    return File(silence(), "sound.wav", "audio/wav")


@tool
def test_embedded_resource() -> File:
    """Answers with a resource."""
    return File(b"This is an embedded resource content.", "test://embedded-resource", "text/plain")


@tool
def test_multiple_content_types() -> list[Any]:
    """Answers with a text, an image and a resource."""
    return [
        "Multiple content types test:",
        IMAGE,
        File(b'{"test": "data", "value": 123}', "test://mixed-content-resource", "application/json"),
    ]


@tool
async def test_tool_with_logging(ctx: RunContext[Any]) -> str:
    """Notes three things."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        ctx.log(text)
        await asyncio.sleep(0.05)
    return "Tool with logging executed successfully"


@tool
def test_logging_tool(ctx: RunContext[Any]) -> str:
    """Notes something, which a client hears only if it asked for log messages."""
    ctx.log("Something happened")
    return "done"


@tool
async def test_tool_with_progress(ctx: RunContext[Any]) -> str:
    """Tells its progress, and the token under which it is told."""
    for step in (0, 50, 100):
        ctx.report(f"Completed step {step} of 100", step, 100)
        await asyncio.sleep(0.05)
    return str(caller(ctx).progress_token)


@tool
def test_error_handling() -> str:
    """Fails."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@tool
async def test_sampling(prompt: str, ctx: RunContext[Any]) -> str:
    """Asks the client's model."""
    try:
        answer = await ctx.ask_model([UserMessage(prompt)], settings=ModelSettings(max_tokens=100))
    except UserError as error:
        return f"Sampling not supported: {error}"
    return f"LLM response: {answer.text}"


@tool
async def test_reconnection(ctx: RunContext[Any]) -> str:
    """Closes the stream of its own call; the answer is fetched by those who come again."""
    ctx.log("Before disconnect")
    await caller(ctx).close_stream()
    await asyncio.sleep(0.2)
    ctx.log("After reconnect")
    return "Reconnection test completed"


@tool
def test_x_mcp_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "<none>") -> str:
    """Takes an argument that is to stand in a header too."""
    return f"region={region}"


@tool
def test_missing_capability(ctx: RunContext[Any]) -> str:
    """Needs a client that can sample."""
    caller(ctx).require("sampling")
    return "The client can sample."


@tool
def test_trigger_tool_change(ctx: RunContext[Any]) -> str:
    """Says that the tools have changed."""
    ctx.deps.tools_changed()
    return "tool list changed"


@tool
def test_trigger_prompt_change(ctx: RunContext[Any]) -> str:
    """Says that the prompts have changed."""
    ctx.deps.prompts_changed()
    return "prompt list changed"


SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def _any(**arguments: Any) -> str:
    return "json_schema_2020_12_tool"


json_schema_2020_12_tool = tool(
    _any, name="json_schema_2020_12_tool", description="Has a schema of many keywords.", parameters=SCHEMA_2020_12
)

TOOLS = [each for each in globals().values() if isinstance(each, Tool)]
