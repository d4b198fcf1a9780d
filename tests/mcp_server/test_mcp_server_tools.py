"""Tools as clients see them: schemas, results, and what comes of calls that fail."""

import asyncio
import threading
import time
import typing
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp_server_clients import MODES, Heard, connected, names, text_of
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from kimi_agent import File, FunctionToolset, Image, ModelRetry, RunContext, ToolResult, Toolset, UserError, tool
from kimi_agent.errors import ToolDefinitionError
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.service import MCPService

pytestmark = pytest.mark.anyio


class Weather(BaseModel):
    city: str
    celsius: float = Field(description="Degrees")


@dataclass
class Point:
    x: int
    y: int = 0


class Song(TypedDict):
    title: str
    seconds: int


class Album(typing.TypedDict, total=False):  # which pydantic does not take on every Python
    songs: list[Song]
    year: int | None


def weather(city: str) -> Weather:
    """The weather.

    Args:
        city: Its name.
    """
    return Weather(city=city, celsius=21.5)


def point() -> Point:
    return Point(3)


def song() -> Song:
    return {"title": "Ode", "seconds": 9}


def album() -> Album:
    return {"year": None}


def albums() -> list[Album] | None:
    return [{"songs": [{"title": "Ode", "seconds": 9}]}]


def counts() -> dict[str, int]:
    return {"a": 1}


def primes() -> list[int]:
    return [2, 3]


def maybe(found: bool) -> int | None:
    return 7 if found else None


def state() -> Literal["on", "off"]:
    return "on"


def described() -> Annotated[list[Point], "all of them"]:
    return [Point(1, 2)]


async def stream() -> AsyncIterator[int]:
    for n in (1, 2):
        yield n


STRUCTURED: list[tuple[Any, dict[str, Any], Any]] = [
    (weather, {"city": "Rome"}, {"city": "Rome", "celsius": 21.5}),
    (point, {}, {"x": 3, "y": 0}),
    (song, {}, {"title": "Ode", "seconds": 9}),
    (album, {}, {"year": None}),
    (albums, {}, {"result": [{"songs": [{"title": "Ode", "seconds": 9}]}]}),
    (counts, {}, {"a": 1}),
    (primes, {}, {"result": [2, 3]}),
    (maybe, {"found": False}, {"result": None}),
    (state, {}, {"result": "on"}),
    (described, {}, {"result": [{"x": 1, "y": 2}]}),
    (stream, {}, {"result": [1, 2]}),
]


@pytest.mark.parametrize("mode", MODES)
async def test_typed_results_come_as_text_and_as_structured_content(mode: str) -> None:
    service = MCPService(*(function for function, _, _ in STRUCTURED))
    async with connected(service, mode) as client:  # the client checks each result against the schema that the tool has
        listed = {t.name: t for t in (await client.list_tools()).tools}
        for function, arguments, expected in STRUCTURED:
            result = await client.call_tool(function.__name__, arguments)
            assert not result.is_error and result.structured_content == expected
            assert listed[function.__name__].output_schema["type"] == "object"
            assert text_of(result)
    schema = listed["weather"]
    assert schema.description == "The weather."
    assert schema.input_schema["properties"]["city"] == {"type": "string", "description": "Its name."}
    assert schema.output_schema["properties"]["celsius"]["description"] == "Degrees"


def plain() -> str:
    return "hello"


def nothing():
    return {"untyped": 1}


def picture() -> Image:
    return Image(b"png", "image/png")


def mixed() -> list[Any]:
    return ["see:", Image(b"jpg", "image/jpeg"), File(b"{}", "a b.json", "application/json"), File(b"\xff", "blob.bin")]


def sound() -> list[File]:
    return [File(b"wav", "a.wav", "audio/wav")]


def embedded() -> File:
    return File("é".encode(), "test://doc", "text/plain")


def blocks() -> list[Any]:
    return [types.ResourceLink(name="n", uri="x://y"), types.TextContent(text="t")]


def either(text: bool) -> str | int:
    return "text" if text else 1


@pytest.mark.parametrize("mode", MODES)
async def test_texts_images_files_and_audio_come_as_what_they_are(mode: str) -> None:
    service = MCPService([plain, nothing, picture, mixed, sound, embedded, blocks, either])
    async with connected(service, mode) as client:
        assert not any(t.output_schema for t in (await client.list_tools()).tools)
        got = {n: await client.call_tool(n) for n in ("plain", "nothing", "picture", "mixed", "sound", "embedded", "blocks")}
        assert text_of(await client.call_tool("either", {"text": False})) == "1"
    assert text_of(got["plain"]) == "hello" and text_of(got["nothing"]) == '{"untyped": 1}'
    assert [(b.type, b.mime_type, b.data) for b in got["picture"].content] == [("image", "image/png", "cG5n")]
    text, image, document, blob = got["mixed"].content
    assert (text.text, image.data) == ("see:", "anBn")
    assert (document.resource.text, document.resource.uri) == ("{}", "kimi-agent://files/a%20b.json")
    assert blob.resource.blob == "/w=="
    assert [(b.type, b.mime_type) for b in got["sound"].content] == [("audio", "audio/wav")]
    assert (got["embedded"].content[0].resource.uri, got["embedded"].content[0].resource.text) == ("test://doc", "é")
    assert [b.type for b in got["blocks"].content] == ["resource_link", "text"]


def liar(kind: str) -> Weather:
    return {"city": kind} if kind == "short" else Weather.model_construct(city=kind, celsius=float("nan"))  # type: ignore[return-value]


@pytest.mark.parametrize("mode", MODES)
async def test_a_result_that_is_not_what_the_annotation_says_is_an_error_that_shows_it(mode: str) -> None:
    async with connected(MCPService(liar), mode) as client:
        short, nan = await client.call_tool("liar", {"kind": "short"}), await client.call_tool("liar", {"kind": "nan"})
    assert short.is_error and "celsius" in text_of(short) and '{"city": "short"}' in text_of(short)
    assert nan.is_error and "does not fit its own output schema" in text_of(nan)


def fails() -> str:
    raise ValueError("no such city")


def retry(n: int) -> str:
    raise ModelRetry("n must be even")


@tool(timeout=0.05)
async def hangs() -> str:
    await asyncio.sleep(60)
    return ""


@tool(timeout=0.05)
def blocks_its_thread() -> str:
    time.sleep(0.3)
    return ""


@tool
async def gives_up(ctx: RunContext) -> str:
    ctx.cancel("not today")
    await asyncio.sleep(60)
    return ""


@tool(max_result_chars=20)
def long() -> str:
    return "x" * 1000


@pytest.mark.parametrize("mode", MODES)
async def test_failures_are_results_that_a_model_can_act_on(mode: str) -> None:
    service = MCPService(fails, retry, hangs, blocks_its_thread, gives_up, long, weather)
    async with connected(service, mode) as client:

        async def called(name: str, **arguments: Any) -> types.CallToolResult:
            return await client.call_tool(name, arguments)

        failed = [await called(n) for n in ("fails", "hangs", "blocks_its_thread", "gives_up")]
        assert all(r.is_error and r.structured_content is None for r in failed)
        assert [text_of(r) for r in failed] == [
            "ValueError: no such city",
            "hangs did not finish within 0.05 s.",
            "blocks_its_thread did not finish within 0.05 s. Its thread cannot be stopped: what it does may still take effect.",
            "The call was ended: not today.",
        ]
        assert text_of(await called("retry", n=1)) == "Error: n must be even\nMake the call again, differently."
        wrong = await called("weather", town="Rome")
        assert wrong.is_error and "city: required, but missing" in text_of(wrong) and '"properties"' in text_of(wrong)
        cut = text_of(await called("long"))
        assert "1000 characters left out" in cut and len(cut) < 200
        # what an agent would mend is mended: a number in quotes, an object written as text
        assert (await called("retry", n="1")).is_error
        with pytest.raises(MCPError) as error:
            await called("nope")
        assert error.value.code == types.INVALID_PARAMS and "nope" in error.value.message


@pytest.mark.parametrize("mode", MODES)
async def test_hints_come_from_rules_and_from_the_author(mode: str) -> None:
    def wipe() -> str:
        return ""

    service = MCPService(
        tool(weather, idempotent=True), wipe, annotations={"weather": {"readOnlyHint": True, "title": "Weather!"}, "wipe": {}}
    )
    async with connected(service, mode) as client:
        hinted, bare = (await client.list_tools()).tools
    assert hinted.annotations == types.ToolAnnotations(title="Weather!", read_only_hint=True, idempotent_hint=True)
    assert hinted.title == "Weather!" and bare.annotations is None


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "n": {"type": "integer", "x-mcp-header": "N"}},
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["n"]},
    "unevaluatedProperties": False,
}


@pytest.mark.parametrize("mode", MODES)
async def test_a_given_schema_is_passed_on_as_it_is_and_holds(mode: str) -> None:
    async with connected(MCPService(tool(lambda **a: sorted(a), name="given", parameters=SCHEMA)), mode) as client:
        assert (await client.list_tools()).tools[0].input_schema == SCHEMA
        assert text_of(await client.call_tool("given", {"kind": "b"})) == '["kind"]'
        assert "'n' is a required property" in text_of(await client.call_tool("given", {"kind": "a"}))


class Changing(Toolset):
    """Tools that come and go."""

    def __init__(self) -> None:
        self.now: list[Any] = [tool(plain)]

    async def tools(self, context: RunContext[Any]) -> Sequence[Any]:
        return self.now


async def test_toolsets_are_asked_anew_and_a_change_is_told_in_the_handshake_era() -> None:
    changing, heard = Changing(), Heard()
    service = MCPService(changing.prefixed("my_"), FunctionToolset([song]), deps="db")
    async with connected(service, "legacy", message_handler=heard.on_message) as client:
        assert names((await client.list_tools()).tools) == ["my_plain", "song"]
        changing.now = [tool(weather)]
        assert names((await client.list_tools()).tools) == ["my_weather", "song"]
        await heard.until()
        assert heard.messages == ["notifications/tools/list_changed"]
        with pytest.raises(MCPError, match="my_plain"):
            await client.call_tool("my_plain")
        changing.now = [tool(weather), tool(plain)]
        assert text_of(await client.call_tool("my_plain")) == "hello"  # a call shows the change too
        await heard.until()
        threading.Thread(target=service.tools_changed).start()
        await heard.until()
        assert len(heard.messages) == 3


class OwnToEach(Toolset):
    """Other tools for some clients."""

    async def tools(self, context: RunContext[Any]) -> Sequence[Any]:
        return ADMIN if caller(context).name == "admin" else USER


ADMIN, USER = [tool(plain), tool(weather)], [tool(plain)]


async def test_tools_that_differ_from_client_to_client_are_no_change() -> None:
    heard, service = Heard(), MCPService(OwnToEach())

    def client(name: str) -> Any:
        return connected(
            service, "legacy", client_info=types.Implementation(name=name, version="1"), message_handler=heard.on_message
        )

    async with client("admin") as admin, client("user") as user:
        for _ in range(3):
            assert names((await admin.list_tools()).tools) == ["plain", "weather"]
            assert names((await user.list_tools()).tools) == ["plain"]
        with pytest.raises(MCPError, match="weather"):
            await user.call_tool("weather", {"city": "Rome"})
        await asyncio.sleep(0.05)
    assert heard.messages == []


async def test_a_toolset_that_fails_is_a_protocol_error_with_its_words() -> None:
    class Broken(Toolset):
        async def tools(self, context: RunContext[Any]) -> Sequence[Any]:
            raise UserError("the database is not configured")

    for mode in MODES:
        async with connected(MCPService(Broken()), mode) as client:
            with pytest.raises(MCPError, match="the database is not configured"):
                await client.list_tools()
            with pytest.raises(MCPError, match="the database is not configured"):
                await client.call_tool("x")


async def test_a_change_is_told_to_those_who_listen_in_the_modern_era() -> None:
    service = MCPService(plain)
    async with connected(service, "auto") as client, client.listen(tools_list_changed=True) as stream:
        service.resources_changed()
        service.tools_changed()
        async with asyncio.timeout(10):
            event = await anext(aiter(stream))
        assert type(event).__name__ == "ToolsListChanged"


async def test_a_tool_sees_the_server_not_a_run() -> None:
    @tool
    async def look(ctx: RunContext) -> list[Any]:
        with pytest.raises(UserError, match="an agent's run"):
            ctx.inject("hi")
        ctx.log("x", level="loud")
        return [ctx.deps, ctx.tool_name, ctx.messages, ctx.turn, bool(ctx.call_id)]

    async with connected(MCPService(look, deps="db"), "auto") as client:
        assert text_of(await client.call_tool("look")) == '["db", "look", [], 0, true]'


async def test_one_bad_tool_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    changing = Changing()
    changing.now = [
        tool(lambda **a: "", name="bad", parameters={"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}),
        tool(plain),
    ]
    async with connected(MCPService(changing), "auto") as client:
        assert names((await client.list_tools()).tools) == ["plain"]
    assert "bad" in caplog.text


def test_what_cannot_be_served_is_told_at_once() -> None:
    def odd(lock: threading.Lock) -> str:
        return ""

    with pytest.raises(UserError, match="nothing to serve"):
        MCPService()
    with pytest.raises(ToolDefinitionError, match="lock"):
        MCPService(odd)
    with pytest.raises(ToolDefinitionError, match="is no tool"):
        MCPService(3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="concurrency"):
        MCPService(plain, concurrency=0)


async def test_a_result_may_say_all_itself() -> None:
    def own() -> ToolResult:
        return ToolResult("went wrong", is_error=True)

    async with connected(MCPService(own), "auto") as client:
        result = await client.call_tool("own")
    assert result.is_error and text_of(result) == "went wrong"
