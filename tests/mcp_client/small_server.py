"""A well-behaved MCP server on the SDK, for tests of what a client makes of it: `python small_server.py [PORT]`."""

import asyncio
import base64
import sys

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import AssistantMessage, UserMessage
from pydantic import BaseModel

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
server = MCPServer("small", version="1.2.3", instructions="Add with add.")


class Weather(BaseModel):
    city: str
    degrees: float


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool(title="The weather", annotations=types.ToolAnnotations(read_only_hint=True))
def weather(city: str) -> Weather:
    """Tells the weather."""
    return Weather(city=city, degrees=21.5)


@server.tool()
def picture() -> list[types.ContentBlock]:
    """Words, a picture, a sound, a link and a file."""
    return [
        types.TextContent(text="look"),
        types.ImageContent(data=base64.b64encode(PIXEL).decode(), mime_type="image/png"),
        types.AudioContent(data=base64.b64encode(b"RIFF").decode(), mime_type="audio/wav"),
        types.ResourceLink(name="notes", uri="notes://all", description="all of them"),
        types.EmbeddedResource(resource=types.TextResourceContents(uri="notes://1", text="milk", mime_type="application/yaml")),
    ]


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("the disk is full")


@server.tool()
async def nap() -> str:
    """Sleeps for long."""
    await asyncio.sleep(30)
    return "rested"


@server.tool()
async def long_way(ctx: Context, steps: int) -> str:
    """Tells how it gets on."""
    for i in range(steps):
        await ctx.report_progress(i + 1, steps, f"step {i + 1}")
        await ctx.session.send_log_message("warning", f"at {i + 1}", logger="road", related_request_id=ctx.request_id)
    return "there"


@server.tool(name="mit Leerzeichen/und Strich")
def spaced() -> str:
    """Has a name that no model may call."""
    return "called"


@server.tool()
async def grow(ctx: Context) -> str:
    """Has one more tool from now on."""
    server.add_tool(grown, name="grown")
    await ctx.notify_tools_changed()
    return "grown"


def grown() -> str:
    """Was not there before."""
    return "big"


@server.tool()
async def name_of_user(ctx: Context) -> types.CallToolResult | types.InputRequiredResult:
    """Asks the user."""
    said = (ctx.input_responses or {}).get("q")
    if said is None:
        schema = {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "default": 7}},
            "required": ["name"],
        }
        params = types.ElicitRequestFormParams(message="Who are you?", requested_schema=schema)
        return types.InputRequiredResult(input_requests={"q": types.ElicitRequest(params=params)})
    return types.CallToolResult(content=[types.TextContent(text=said.model_dump_json(include={"action", "content"}))])


@server.tool()
async def think(ctx: Context, question: str, max_tokens: int = 50) -> types.CallToolResult | types.InputRequiredResult:
    """Asks the client's model."""
    said = (ctx.input_responses or {}).get("q")
    if said is None:
        params = types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=types.TextContent(text=question))],
            system_prompt="Think.",
            max_tokens=max_tokens,
            include_context="allServers",
        )
        return types.InputRequiredResult(input_requests={"q": types.CreateMessageRequest(params=params)})
    return types.CallToolResult(content=[types.TextContent(text=f"it thinks: {said.content.text}")])


@server.tool()
async def where(ctx: Context) -> types.CallToolResult | types.InputRequiredResult:
    """Asks for the roots."""
    said = (ctx.input_responses or {}).get("q")
    if said is None:
        return types.InputRequiredResult(input_requests={"q": types.ListRootsRequest()})
    return types.CallToolResult(content=[types.TextContent(text=" ".join(str(root.uri) for root in said.roots))])


@server.resource("notes://all", mime_type="text/plain")
def notes() -> str:
    """All notes."""
    return "milk\nbread"


@server.resource("pixel://one", mime_type="image/png")
def pixel() -> bytes:
    """A picture."""
    return PIXEL


@server.resource("notes://{number}")
def note(number: str) -> str:
    """One note."""
    return f"note {number}"


@server.prompt()
def review(path: str) -> list[UserMessage | AssistantMessage]:
    """Reviews a file."""
    return [UserMessage(f"Review {path}."), AssistantMessage("Gladly.")]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
