"""Clients, and models behind them, that mean no good: what they hide, flood, hold up, and would like to be told."""

import asyncio
import json
from typing import Any

import httpx2
import mcp
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp_server_clients import DECLINE, HEADERS, MODES, Heard, accept, answering, connected, initialize, over_http, text_of, until

from kimi_agent import Agent, RunContext, ScriptedModel, tool
from kimi_agent.mcp.server.asks import ClientRefused
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.resources import Resource
from kimi_agent.mcp.server.service import MCPService
from kimi_agent.models.scripted import ScriptedCall
from kimi_agent.redact import register_secret

pytestmark = pytest.mark.anyio
FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
SECRET = "correct-horse-battery-staple"
ran: list[str] = []


@tool(needs_approval=True)
def wipe(path: str, note: str = "") -> str:
    """Wipes."""
    ran.append(path)
    return f"wiped {path}"


@tool
async def ask(ctx: RunContext) -> str:
    return str(await caller(ctx).elicit("Name?", FORM))


def quick() -> str:
    return "quick"


# ── what somebody approves ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", MODES)
async def test_the_question_shows_all_of_the_arguments_exactly(mode: str) -> None:
    hidden = "/tmp/" + "./" * 4000 + "../home/用户"
    user = answering(DECLINE, DECLINE)
    async with connected(MCPService(wipe), mode, elicitation_callback=user) as client:
        await client.call_tool("wipe", {"note": "x" * 2500, "path": hidden})
        await client.call_tool("wipe", {"path": "safe\u202e\u200b\u2028\u00ad\ufe0f\x1btxt.exe\n\n"})
    whole, unseen = (asked.message for asked in user.asked)
    assert whole.endswith(json.dumps({"note": "x" * 2500, "path": hidden}, ensure_ascii=False))
    assert r"safe\u202e\u200b\u2028\u00ad\ufe0f\u001btxt.exe\n\n" in unseen


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_too_long_to_be_read_is_not_asked(mode: str) -> None:
    ran.clear()
    user = answering()
    async with connected(MCPService(wipe), mode, elicitation_callback=user) as client:
        result = await client.call_tool("wipe", {"note": "x" * 20_000, "path": "/"})
    assert result.is_error and "too long to be read" in text_of(result) and "did not run" in text_of(result)
    assert user.asked == [] and ran == []


async def test_what_the_model_of_an_agent_wrote_is_shown_as_it_will_be_taken() -> None:
    written = '{"path": "/safe",' + "\n" * 300 + '"path": "/etc"}'
    agent = Agent(ScriptedModel([ScriptedCall("wipe", written), "done"]), tools=[wipe], name="agent")
    user = answering(DECLINE)
    async with connected(MCPService(agent), "auto", elicitation_callback=user) as client:
        await client.call_tool("agent", {"prompt": "p"})
    assert user.asked[0].message == 'May wipe run with these arguments?\n{"path": "/etc"}'


# ── what holds up others ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Seats:
    """A tool that must be alone and asks, and whether it was alone."""

    def __init__(self) -> None:
        self.inside = 0
        self.together: list[int] = []
        self.gate = asyncio.Event()

    async def other(self) -> str:
        self.inside += 1
        await self.gate.wait()
        self.inside -= 1
        return "other"

    async def book(self, ctx: RunContext) -> str:
        self.together.append(self.inside)
        async with asyncio.TaskGroup() as group:
            for key in "ab":
                group.create_task(caller(ctx).elicit("Name?", FORM, key=key))
        self.together.append(self.inside)
        await asyncio.sleep(0.01)
        self.together.append(self.inside)
        return "booked"


@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_must_be_alone_lets_others_run_while_it_asks(mode: str) -> None:
    answer: asyncio.Future[types.ElicitResult] = asyncio.get_running_loop().create_future()
    asked: list[Any] = []

    async def user(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params)
        return await asyncio.shield(answer)

    seats = Seats()
    service = MCPService(tool(seats.book, sequential=True), seats.other, quick)
    async with connected(service, mode, elicitation_callback=user) as client:
        booking = asyncio.create_task(client.call_tool("book"))
        await until(lambda: asked)
        assert text_of(await client.call_tool("quick")) == "quick"
        other = asyncio.create_task(client.call_tool("other"))
        await until(lambda: seats.inside)
        answer.set_result(accept(name="Li"))
        await asyncio.sleep(0.05)
        assert seats.together == [0]  # answered, and not alone yet
        seats.gate.set()
        assert text_of(await booking) == "booked" and text_of(await other) == "other"
        assert seats.together == [0, 0, 0]
        assert text_of(await client.call_tool("quick")) == "quick"


async def test_a_call_that_is_cancelled_does_not_wait_to_be_alone_again() -> None:
    ended = asyncio.Event()
    began = asyncio.Event()
    hold = asyncio.Event()

    @tool(sequential=True)
    async def book(ctx: RunContext) -> str:
        try:
            return str(await caller(ctx).elicit("Name?", FORM))
        finally:
            ended.set()

    async def busy() -> str:
        began.set()
        await hold.wait()
        return "done"

    async def user(context: Any, params: Any) -> Any:
        asked.set()
        await asyncio.sleep(60)

    asked = asyncio.Event()
    async with connected(MCPService(book, busy), "legacy", elicitation_callback=user) as client:
        booking = asyncio.create_task(client.call_tool("book"))
        await asked.wait()
        other = asyncio.create_task(client.call_tool("busy"))
        await began.wait()
        booking.cancel()
        async with asyncio.timeout(4):
            await ended.wait()
        hold.set()
        assert text_of(await other) == "done"


async def open_session(http: httpx2.AsyncClient, url: str) -> dict[str, str]:
    """A session of the handshake era whose client has forms; the headers of its requests."""
    hello = initialize()
    hello["params"]["capabilities"] = {"elicitation": {}}
    opened = await http.post(url, json=hello, headers=HEADERS)
    headers = {**HEADERS, "mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
    return headers


async def test_a_question_ends_with_the_stream_on_which_it_was_asked() -> None:
    why: list[str] = []

    @tool(sequential=True)
    async def book(ctx: RunContext) -> str:
        try:
            return str(await caller(ctx).elicit("Name?", FORM))
        except ClientRefused as e:
            why.append(str(e))
            raise

    async with over_http(MCPService(book, quick)) as url, httpx2.AsyncClient() as http, mcp.Client(url) as other:
        headers = await open_session(http, url)
        request = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "book", "arguments": {}}}
        async with http.stream("POST", url, json=request, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if "elicitation/create" in line:
                    break
        await until(lambda: why)
        assert why == ["the client hung up before it answered elicitation/create"]
        assert text_of(await other.call_tool("quick")) == "quick"


async def test_a_flood_of_questions_is_refused_and_throws_nobody_out() -> None:
    service = MCPService(ask)
    user = answering(accept(name="Li"))
    async with over_http(service) as url, mcp.Client(url, elicitation_callback=answering()) as client:
        flood = client.session

        async def asked() -> Any:
            return await flood.call_tool("ask", {}, allow_input_required=True)

        first = await asked()
        while isinstance(last := await asked(), types.InputRequiredResult):
            assert len(service._servers) == 2  # it goes on
        assert last.is_error and "too many calls wait for their clients' answers" in text_of(last)
        async with mcp.Client(url, mode="legacy", elicitation_callback=user) as session:  # a session counts by itself
            assert text_of(await session.call_tool("ask")) == "{'name': 'Li'}"
        done = await flood.call_tool(
            "ask", {}, request_state=first.request_state, input_responses={"question_1": accept(name="Wu")}
        )
        assert text_of(done) == "{'name': 'Wu'}"
        assert isinstance(await asked(), types.InputRequiredResult)  # there is room again


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@tool
async def leaks(ctx: RunContext) -> str:
    ctx.report(f"signs in with {SECRET}")
    ctx.log(f"token {SECRET}", source=SECRET)
    raise RuntimeError("x" * 40_000 + f" cannot sign in with {SECRET} or sk-live-TOPSECRET12345 " + "x" * 20_000)


def broken() -> str:
    raise ValueError(f"no entry for {SECRET}")


def refused() -> str:
    raise MCPError(types.INTERNAL_ERROR, f"cannot sign in with {SECRET}")


@pytest.mark.parametrize("mode", MODES)
async def test_secrets_of_the_process_are_in_no_error_log_or_progress(mode: str) -> None:
    register_secret(SECRET)
    heard = Heard()
    service = MCPService(leaks, resources=[Resource("a://b", broken), Resource("a://c", refused)], max_result_chars=45_000)
    async with connected(service, mode, logging_callback=heard.on_log) as client:
        meta: Any = {"io.modelcontextprotocol/logLevel": "info"} if mode == "auto" else None
        failed = await client.call_tool("leaks", progress_callback=heard.on_progress, meta=meta)
        with pytest.raises(MCPError) as error:
            await client.read_resource("a://c")
        with pytest.raises(MCPError) as unread:
            await client.read_resource("a://b")
    assert failed.is_error and "RuntimeError" in text_of(failed)
    assert heard.progress[0][2] == "signs in with ***" and heard.logs == [("info", "token ***", "***")]
    assert error.value.message == "cannot sign in with ***" and "no entry for ***" in unread.value.message
    said = repr((failed, heard.progress, heard.logs, error.value, unread.value))
    assert SECRET not in said and "TOPSECRET" not in said


# ── who comes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_that_only_begins_like_an_allowed_one_is_kept_out() -> None:
    async with (
        over_http(MCPService(quick), allowed_hosts=["mcp.example.org:*"], allowed_origins=["null"]) as url,
        httpx2.AsyncClient() as http,
    ):

        async def status(**headers: str) -> int:
            return (await http.post(url, json=initialize(), headers={**HEADERS, **headers})).status_code

        for host in (
            "127.0.0.1:80@evil.example",
            "localhost:@evil",
            "mcp.example.org:80.evil",
            "localhost:80:80",
            "localhost: 1",
            "a/b",
        ):
            assert (host, await status(host=host)) == (host, 421)
        for origin in ("http://localhost:80@evil.example", "http://127.0.0.1:x", "http://[::1]:80/evil", "http://localhost:"):
            assert (origin, await status(origin=origin)) == (origin, 403)
        for good in ({"host": "mcp.example.org:99"}, {"host": "[::1]:1"}, {"origin": "http://[::1]:1"}, {"origin": "null"}):
            assert await status(**good) == 200
