"""Resources, templates, subscriptions, completions and prompts."""

import asyncio
import enum
from typing import Any, Literal

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp_server_clients import MODES, Heard, accept, answering, connected, until

from kimi_agent import AssistantMessage, File, Image, RunContext, UserMessage, tool
from kimi_agent.errors import ToolDefinitionError
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.prompts import Prompt
from kimi_agent.mcp.server.resources import Resource
from kimi_agent.mcp.server.service import MCPService

pytestmark = pytest.mark.anyio
DOCS = {"intro": "Welcome", "api": "Functions"}


def read_doc(name: str) -> str:
    """A page of the manual."""
    return DOCS[name]


async def settings(ctx: RunContext) -> dict[str, Any]:
    return {"deps": ctx.deps}


def fails() -> str:
    raise RuntimeError("disk on fire")


async def hangs() -> str:
    await asyncio.sleep(60)
    return ""


def complete_size(value: str, others: dict[str, str]) -> list[str]:
    return [f"{value}{n}-{others.get('name', '')}" for n in range(150)]


def draw(name: str, size: str) -> Image:
    return Image(f"{name}{size}".encode(), "image/gif")


RESOURCES = [
    Resource("docs://index", "The index", mime_type="text/markdown", title="Index"),
    Resource("docs://logo.png", b"png"),
    Resource("docs://pages/{name}", read_doc, complete={"name": ["intro", "api"]}),
    Resource(
        "img://{name}/{size}", lambda name, size: Image(f"{name}{size}".encode(), "image/gif"), complete={"size": complete_size}
    ),
    Resource("app://settings", settings),
    Resource("app://fails", fails),
    Resource("app://hangs", hangs),
    Resource("files://{+path}", lambda path: path, name="files"),
]


def manual() -> MCPService:
    return MCPService(resources=RESOURCES, deps="db", tool_timeout=0.1)


@pytest.mark.parametrize("mode", MODES)
async def test_resources_are_listed_and_read(mode: str) -> None:
    async with connected(manual(), mode) as client:
        listed = {r.uri: r for r in (await client.list_resources()).resources}
        templates = {t.uri_template: t for t in (await client.list_resource_templates()).resource_templates}

        async def read(uri: str) -> Any:
            (contents,) = (await client.read_resource(uri)).contents
            return contents

        assert (listed["docs://index"].mime_type, listed["docs://index"].size) == ("text/markdown", 9)
        assert listed["docs://logo.png"].mime_type == "image/png" and listed["app://settings"].name == "settings"
        assert templates["docs://pages/{name}"].description == "A page of the manual."
        assert ((await read("docs://index")).text, (await read("docs://index")).mime_type) == ("The index", "text/markdown")
        assert (await read("docs://logo.png")).blob == "cG5n"
        assert (await read("docs://pages/intro")).text == "Welcome"
        gif = await read("img://a/3")
        assert (gif.blob, gif.mime_type) == ("YTM=", "image/gif")
        assert ((await read("app://settings")).text, (await read("app://settings")).mime_type) == (
            '{"deps": "db"}',
            "application/json",
        )


@pytest.mark.parametrize("mode", MODES)
async def test_what_cannot_be_read_is_a_protocol_error(mode: str) -> None:
    async with connected(manual(), mode) as client:

        async def error(uri: str) -> tuple[int, str]:
            with pytest.raises(MCPError) as raised:
                await client.read_resource(uri)
            return raised.value.code, raised.value.message

        assert await error("docs://none") == (types.INVALID_PARAMS, "Resource not found: docs://none")
        assert await error("docs://pages/none") == (types.INVALID_PARAMS, "Resource not found: docs://pages/none")
        assert await error("app://fails") == (types.INTERNAL_ERROR, "fails failed: RuntimeError: disk on fire")
        assert (await error("app://hangs"))[0] == types.INTERNAL_ERROR
        for path in ("../etc/passwd", "/etc/passwd", "a/../../b", "%2e%2e/x", "a%00b"):
            assert (await error(f"files://{path}"))[1].startswith("Resource not found")


async def test_many_resources_come_in_pages() -> None:
    service = MCPService(resources=[Resource(f"n://{n}", str(n)) for n in range(250)])
    async with connected(service, "auto") as client:
        seen, cursor = [], None
        while True:
            page = await client.list_resources(cursor=cursor)
            seen += [r.uri for r in page.resources]
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page.resources) == 100
        assert seen == [f"n://{n}" for n in range(250)]
        with pytest.raises(MCPError, match="Invalid cursor"):
            await client.list_resources(cursor="x")


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")  # of the client's methods of this era
async def test_subscribers_hear_of_their_resource_and_no_other() -> None:
    service, heard, other = manual(), Heard(), Heard()
    async with (
        connected(service, "legacy", message_handler=heard.on_message) as client,
        connected(service, "legacy", message_handler=other.on_message) as stranger,
    ):
        await stranger.list_resources()
        await client.subscribe_resource("docs://index")
        service.resource_changed("docs://logo.png")
        service.resource_changed("docs://index")
        await heard.until()
        await client.unsubscribe_resource("docs://index")
        service.resource_changed("docs://index")
        service.prompts_changed()
        await until(lambda: "notifications/prompts/list_changed" in other.messages)
        assert heard.messages.count("notifications/resources/updated") == 1
        assert "notifications/resources/updated" not in other.messages
        with pytest.raises(MCPError, match="not found"):
            await client.subscribe_resource("docs://none")


async def test_modern_subscribers_hear_too() -> None:
    service = manual()
    async with connected(service, "auto") as client, client.listen(resource_subscriptions=["docs://index"]) as stream:
        service.resource_changed("docs://logo.png")
        service.resource_changed("docs://index")
        async with asyncio.timeout(10):
            assert (await anext(aiter(stream))).uri == "docs://index"  # type: ignore[union-attr]


def greet(name: str, times: int = 1, style: Literal["warm", "cold"] = "warm") -> str:
    """Greets somebody.

    Args:
        name: Who.
    """
    return " ".join([f"{style} hello {name}"] * times)


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


def show(size: Size) -> list[Any]:
    return [Image(b"png"), File(b"doc", "test://doc", "text/plain"), AssistantMessage("I see."), UserMessage(["a", "b"])]


async def wants(ctx: RunContext) -> str:
    said = await caller(ctx).elicit("Topic?", {"type": "object", "properties": {"topic": {"type": "string"}}})
    return f"Write about {said}"


def prompts() -> MCPService:
    return MCPService(prompts=[Prompt(greet, complete={"name": ["Ann", "Anton", "Bob"]}, title="Greeting"), show, wants])


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_are_listed_with_their_arguments_and_made(mode: str) -> None:
    async with connected(prompts(), mode, elicitation_callback=answering(accept(topic="tea"))) as client:
        greeting, showing, _ = (await client.list_prompts()).prompts
        assert (greeting.title, greeting.description, showing.name) == ("Greeting", "Greets somebody.", "show")
        assert [(a.name, a.description, a.required) for a in greeting.arguments or ()] == [
            ("name", "Who.", True), ("times", None, False), ("style", None, False),
        ]  # fmt: skip
        made = await client.get_prompt("greet", {"name": "Li", "times": "2"})
        assert [(m.role, m.content.text) for m in made.messages] == [("user", "warm hello Li warm hello Li")]  # type: ignore[union-attr]
        shown = (await client.get_prompt("show", {"size": "small"})).messages
        assert [(m.role, m.content.type) for m in shown] == [
            ("user", "image"), ("user", "resource"), ("assistant", "text"), ("user", "text"), ("user", "text"),
        ]  # fmt: skip
        assert shown[1].content.resource.uri == "test://doc"  # type: ignore[union-attr]
        asked = await client.get_prompt("wants")
        assert asked.messages[0].content.text == "Write about {'topic': 'tea'}"  # type: ignore[union-attr]
        for name, arguments, words in (
            ("greet", {}, "Missing arguments of greet: name"),
            ("greet", {"name": "x", "times": "many"}, "times"),
            ("nope", {}, "Unknown prompt: nope"),
        ):
            with pytest.raises(MCPError, match=words) as error:
                await client.get_prompt(name, arguments)
            assert error.value.code == types.INVALID_PARAMS


@pytest.mark.parametrize("mode", MODES)
async def test_arguments_are_completed(mode: str) -> None:
    async with connected(prompts(), mode) as client:

        async def values(name: str, argument: str, value: str) -> list[str]:
            ref = types.PromptReference(name=name)
            return (await client.complete(ref, {"name": argument, "value": value})).completion.values

        assert await values("greet", "name", "an") == ["Ann", "Anton"]
        assert await values("greet", "style", "c") == ["cold"]
        assert await values("show", "size", "") == ["small", "large"]
        assert await values("greet", "times", "1") == []
    async with connected(manual(), mode) as client:
        ref = types.ResourceTemplateReference(uri="img://{name}/{size}")
        found = await client.complete(ref, {"name": "size", "value": "1"}, context_arguments={"name": "cat"})
        assert found.completion.values[:2] == ["10-cat", "11-cat"] and len(found.completion.values) == 100
        assert (found.completion.total, found.completion.has_more) == (150, True)


async def test_a_server_speaks_only_of_what_it_has() -> None:
    @tool
    def one() -> str:
        return ""

    async with connected(MCPService(one), "legacy") as client:
        assert client.server_capabilities.resources is None and client.server_capabilities.prompts is None
        with pytest.raises(MCPError) as error:
            await client.list_prompts()
        assert error.value.code == types.METHOD_NOT_FOUND


def test_mistakes_are_told_when_they_are_made() -> None:
    for words, make in {
        "no URI": lambda: Resource("index", "x"),
        "must take name": lambda: Resource("docs://{name}", lambda other: other, name="d"),
        "needs a function": lambda: Resource("docs://{name}", "fixed"),
        "complete= names nobody": lambda: Resource("docs://{name}", read_doc, complete={"nobody": []}),
        "two prompts are named 'greet'": lambda: MCPService(prompts=[greet, greet]),
        "complete= names x": lambda: Prompt(greet, complete={"x": []}),
    }.items():
        with pytest.raises(ToolDefinitionError, match=words):
            make()  # type: ignore[no-untyped-call]
