"""Streamable HTTP on a real port: who may come, several clients, clients that vanish, and the end of the server."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp
import mcp_types as types
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_server_clients import HEADERS, MODES, Heard, accept, answering, initialize, over_http, post, text_of, until
from starlette.applications import Starlette
from starlette.routing import Mount

from kimi_agent import Agent, FunctionModel, Reply, RunContext, UserError, tool
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.program import serve_mcp
from kimi_agent.mcp.server.resources import Resource
from kimi_agent.mcp.server.service import MCPService

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TOKEN = "correct-horse-battery-staple"


def echo(text: str) -> str:
    return text


class Slow:
    """A tool that takes for ever, and what became of its calls."""

    def __init__(self) -> None:
        self.began = self.ended = 0

    async def slow(self, ctx: RunContext) -> str:
        self.began += 1
        ctx.report("began")
        try:
            await asyncio.sleep(60)
        finally:
            self.ended += 1
        return ""


@tool
async def ask(ctx: RunContext) -> str:
    ctx.log("asking")
    said = await caller(ctx).elicit("Name?", {"type": "object", "properties": {"name": {"type": "string"}}})
    return f"hello {said['name']}" if said else "hello"


@asynccontextmanager
async def client_with(url: str, headers: dict[str, str], mode: str = "auto") -> AsyncIterator[mcp.Client]:
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        mcp.Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", MODES)
async def test_both_eras_call_ask_and_hear(mode: str) -> None:
    heard = Heard()
    service = MCPService(echo, ask, Slow().slow, resources=[Resource("a://b", "c")])
    async with (
        over_http(service, resumable=True) as url,
        mcp.Client(url, mode=mode, elicitation_callback=answering(accept(name="Li")), logging_callback=heard.on_log) as client,
    ):
        assert text_of(await client.call_tool("echo", {"text": "你好"})) == "你好"
        assert (
            text_of(await client.call_tool("ask", meta={"io.modelcontextprotocol/logLevel": "info"} if mode == "auto" else None))
            == "hello Li"
        )
        assert [text for _, text, _ in heard.logs] == ["asking"]
        assert (await client.read_resource("a://b")).contents[0].text == "c"  # type: ignore[union-attr]


async def test_a_wrong_token_is_refused_and_told_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with over_http(MCPService(echo), token=TOKEN) as url:
        for given in (None, "Bearer wrong-wrong-wrong-wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer"):
            refused = await post(url, initialize(), {} if given is None else {"authorization": given})
            assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in refused.text
        async with httpx2.AsyncClient() as http:
            assert (await http.get(url, headers=HEADERS)).status_code == 401
            assert (await http.delete(url, headers=HEADERS)).status_code == 401
        for mode in MODES:
            async with client_with(url, {"authorization": f"Bearer {TOKEN}"}, mode) as client:
                assert text_of(await client.call_tool("echo", {"text": "in"})) == "in"
        assert (await post(url, initialize(), {"authorization": f"bearer {TOKEN}"})).status_code == 200
    assert TOKEN not in caplog.text


async def test_web_pages_and_other_names_are_kept_out() -> None:
    async with over_http(MCPService(echo), allowed_hosts=["mcp.example.org"], allowed_origins=["https://app.example.org"]) as url:

        async def status(**headers: str) -> int:
            return (await post(url, initialize(), headers)).status_code

        assert await status() == 200
        assert await status(host="evil.example.org") == 421
        assert await status(host="mcp.example.org") == 200
        assert await status(origin="https://evil.example.org") == 403
        assert await status(origin="null") == 403
        assert await status(origin="https://app.example.org") == 200
        assert await status(origin="http://localhost:6274") == 200
        modern = {"mcp-protocol-version": "2026-07-28"}
        assert await status(host="evil.example.org", **modern) == 421
        assert await status(origin="https://evil.example.org", **modern) == 403


async def test_what_others_could_reach_must_be_asked_for() -> None:
    service = MCPService(echo)
    for words, options in {
        "token=": {"host": "0.0.0.0"},
        "allowed_hosts=": {"host": "0.0.0.0", "token": TOKEN},
        "at least 16": {"token": "short"},
        "take lists": {"allowed_hosts": "mcp.example.org"},
        "there is no option prot": {"prot": 80},
        "begins with a slash": {"path": "mcp"},
        "cannot listen": {"host": "no such host", "insecure": True, "allowed_hosts": ["x"]},
    }.items():
        with pytest.raises(UserError, match=words):
            await service.http(**{"port": 0, **options})  # type: ignore[typeddict-item]
    async with over_http(service, host="0.0.0.0", insecure=True, allowed_hosts=["mcp.example.org:*"]) as url:
        port = url.split(":")[2].split("/")[0]
        at = f"http://127.0.0.1:{port}/mcp"
        assert (await post(at, initialize(), {"host": "mcp.example.org:99"})).status_code == 200
        assert (await post(at, initialize())).status_code == 421
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await service.http(port=taken.getsockname()[1])


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_clients_of_every_version_are_served(version: str) -> None:
    agent = Agent(FunctionModel(lambda request: Reply(text="answer")), name="agent")

    def total() -> dict[str, int]:
        return {"n": 1}

    async with over_http(MCPService(agent, total)) as url, httpx2.AsyncClient() as http:
        opened = await post(url, initialize(version))
        assert f'"protocolVersion":"{version}"' in opened.text
        head = {**HEADERS, "mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": version}
        await http.post(url, content=b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', headers=head)
        for name, arguments, expected in (("agent", {"prompt": "?"}, '"text":"answer"'), ("total", {}, '{\\"n\\": 1}')):
            call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
            answer = await http.post(url, content=json.dumps(call), headers=head)
            assert answer.status_code == 200 and expected in answer.text


async def test_garbage_is_answered_and_the_server_lives() -> None:
    async with over_http(MCPService(echo), max_body=10_000) as url, httpx2.AsyncClient() as http:

        async def status(content: bytes, **headers: str) -> int:
            return (await http.post(url, content=content, headers={**HEADERS, **headers})).status_code

        assert await status(b"{") == 400 and await status(b"[]") == 400 and await status(b"\xff\xfe") == 400
        assert await status(b'{"jsonrpc": "2.0"}') == 400
        assert await status(json.dumps(initialize()).encode(), **{"content-type": "text/plain"}) == 400
        assert await status(b"x" * 20_000) == 413
        assert await status(json.dumps(initialize()).encode(), **{"mcp-session-id": "guess"}) == 404
        assert (await http.get(url.replace("/mcp", "/other"))).status_code == 404
        assert await status(json.dumps(initialize()).encode()) == 200


async def test_two_clients_have_nothing_in_common() -> None:
    agent = Agent(FunctionModel(lambda request: Reply(text="secret")), name="agent")
    heard = Heard()

    @tool
    async def notes(ctx: RunContext) -> str:
        ctx.log("note", "debug")
        ctx.report("note", 1)
        return ctx.call_id

    service = MCPService(agent, notes)
    async with (
        over_http(service) as url,
        mcp.Client(url, mode="legacy") as a,
        mcp.Client(url, mode="legacy", logging_callback=heard.on_log) as b,
        mcp.Client(url) as c,
    ):
        with pytest.warns(UserWarning):
            await a.set_logging_level("debug")
        ids = await asyncio.gather(*(x.call_tool("notes") for x in (a, b, c) for _ in range(20)))
        assert len({text_of(r) for r in ids}) == 60 and heard.logs == []
        made = await a.call_tool("agent", {"prompt": "p"})
        uri = next(x.uri for x in made.content if isinstance(x, types.ResourceLink))
        assert [r.uri for r in (await a.list_resources()).resources] == [uri]
        for other in (b, c):
            assert (await other.list_resources()).resources == []
            with pytest.raises(MCPError, match="not found"):
                await other.read_resource(uri)


async def test_modern_clients_without_a_token_read_what_they_have_the_link_of() -> None:
    agent = Agent(FunctionModel(lambda request: Reply(text="secret")), name="agent")
    for token in (None, TOKEN):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with (
            over_http(MCPService(agent), token=token) as url,
            client_with(url, headers) as client,
            client_with(url, headers) as other,
        ):
            made = await client.call_tool("agent", {"prompt": "p"})
            uri = next(x.uri for x in made.content if isinstance(x, types.ResourceLink))
            assert len((await other.list_resources()).resources) == (1 if token else 0)
            assert "secret" in (await other.read_resource(uri)).contents[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_vanishes_in_mid_call_leaves_nothing_behind(mode: str) -> None:
    slow = Slow()
    async with over_http(MCPService(slow.slow, echo)) as url:
        heard = Heard()
        async with mcp.Client(url, mode=mode) as client:
            calls = [asyncio.create_task(client.call_tool("slow", progress_callback=heard.on_progress)) for _ in range(3)]
            await until(lambda: slow.began == 3)
        await until(lambda: slow.ended == 3)
        await asyncio.wait(calls)
        for call in calls:
            assert call.cancelled() or isinstance(call.exception(), MCPError)
        async with mcp.Client(url, mode=mode) as client:
            assert text_of(await client.call_tool("echo", {"text": "still here"})) == "still here"


async def test_a_modern_connection_that_is_cut_cancels_the_call() -> None:
    slow = Slow()
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": 1,
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "_meta": meta}}).encode()
    async with over_http(MCPService(slow.slow)) as url:
        host, port = url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = {**HEADERS, "host": f"{host}:{port}", "mcp-protocol-version": "2026-07-28", "content-length": str(len(body))}
        head |= {"mcp-method": "tools/call", "mcp-name": "slow"}
        writer.write(b"POST /mcp HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()).encode() + b"\r\n" + body)
        assert b"200 OK" in await reader.readline()
        await until(lambda: slow.began == 1)
        writer.transport.abort()
        await until(lambda: slow.ended == 1)


@pytest.mark.parametrize("mode", MODES)
async def test_the_end_of_the_server_is_told_and_leaves_nothing(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        MCPService(slow.slow, Agent(FunctionModel(lambda r: Reply(text="")), name="a")).http(port=0, ready=ready.set_result)
    )
    url = await ready
    async with mcp.Client(url, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("slow"))
        await until(lambda: slow.began == 1)
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled() and slow.ended == 1
        with pytest.raises(MCPError, match="shutting down"):
            await call
    with pytest.raises(httpx2.ConnectError):
        await post(url, initialize())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_stream_that_a_tool_closes_is_taken_up_again() -> None:
    @tool
    async def reconnects(ctx: RunContext) -> str:
        ctx.report("before")
        await asyncio.sleep(0)
        await caller(ctx).close_stream()
        ctx.report("after")
        return "finished"

    async with over_http(MCPService(reconnects), resumable=True, retry_ms=10) as url, mcp.Client(url, mode="legacy") as client:
        assert text_of(await client.call_tool("reconnects")) == "finished"


async def test_sessions_of_others_are_not_replayed() -> None:
    async with over_http(MCPService(echo), resumable=True) as url, httpx2.AsyncClient() as http:
        sessions = []
        for n in (1, 2):
            opened = await post(url, initialize())
            session = opened.headers["mcp-session-id"]
            head = {**HEADERS, "mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
            await http.post(url, content=b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', headers=head)
            call = {
                "jsonrpc": "2.0",
                "id": 7,
                "method": "tools/call",
                "params": {"name": "echo", "arguments": {"text": f"text {n}"}},
            }
            answer = await http.post(url, content=json.dumps(call), headers=head)
            assert f"text {n}" in answer.text
            sessions.append((head, answer.text))
        (_, _), (second, answer) = sessions
        first_event = next(line.split(": ")[1] for line in answer.splitlines() if line.startswith("id: "))
        async with http.stream("GET", url, headers={**second, "last-event-id": first_event}) as replayed:
            text = ""
            async with asyncio.timeout(10):
                async for chunk in replayed.aiter_text():
                    text += chunk
                    if "text" in text:
                        break
        assert "text 2" in text and "text 1" not in text


async def test_changes_reach_every_session_over_http() -> None:
    service, heard = MCPService(echo, resources=[Resource("a://b", "c")]), [Heard(), Heard()]
    async with (
        over_http(service) as url,
        mcp.Client(url, mode="legacy", message_handler=heard[0].on_message) as a,
        mcp.Client(url, mode="legacy", message_handler=heard[1].on_message) as b,
        mcp.Client(url) as c,
        c.listen(resources_list_changed=True) as stream,
    ):
        await a.list_tools()
        await b.list_tools()
        await asyncio.sleep(0.2)  # the streams on which they listen open beside
        service.resources_changed()
        for each in heard:
            await each.until()
            assert "notifications/resources/list_changed" in each.messages
        async with asyncio.timeout(10):
            assert type(await anext(aiter(stream))).__name__ == "ResourcesListChanged"


async def test_it_can_be_mounted_in_somebodys_application() -> None:
    import uvicorn

    async with MCPService(echo).asgi() as app:
        whole = Starlette(routes=[Mount("/tools", app=app)])
        config = uvicorn.Config(whole, port=0, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        running = asyncio.create_task(server._serve())
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with mcp.Client(f"http://127.0.0.1:{port}/tools/") as client:
            assert text_of(await client.call_tool("echo", {"text": "mounted"})) == "mounted"
        server.should_exit = True
        await running


async def test_one_service_in_several_ways_at_once() -> None:
    slow = Slow()
    service = MCPService(slow.slow, echo)
    async with mcp.Client(service.in_process()) as inside:
        async with over_http(service) as one, over_http(service) as two:
            urls: list[Any] = [one, two]
            for url in urls:
                async with mcp.Client(url) as client:
                    assert text_of(await client.call_tool("echo", {"text": url})) == url
            call = asyncio.create_task(inside.call_tool("slow"))
            await until(lambda: slow.began == 1)
        assert slow.ended == 0  # the end of the HTTP servers is not the end of the others
        call.cancel()
        await until(lambda: slow.ended == 1)


def test_options_that_do_not_fit_are_told() -> None:
    with pytest.raises(UserError, match="only for transport='http'"):
        serve_mcp(print, port=1)
    with pytest.raises(UserError, match="'stdio' and 'http'"):
        serve_mcp(print, transport="pigeon")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unexpected keyword argument 'colour'"):
        serve_mcp(str.upper, colour="red")
    with pytest.raises(UserError, match="MCPService itself"):
        serve_mcp(MCPService(echo), name="x")


async def test_serve_mcp_is_not_for_async_code() -> None:
    with pytest.raises(UserError, match="await MCPService"):
        serve_mcp(echo)
