"""What a server may not do to a run: be sent a call again that it has, change a tool under an approval, ask for ever."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chaos_drill import chaos
from mcp import MCPError
from mcp_types import ErrorData
from small import small, small_over_http

from kimi_agent import (
    Agent,
    Approve,
    Elicitation,
    MCPServer,
    MCPServerError,
    RunContext,
    ScriptedModel,
    ToolCall,
    ToolMessage,
    UserError,
    call,
)
from kimi_agent.mcp.client.event_stream import only_messages
from kimi_agent.mcp.client.failures import Failure, error_of, failure_of, session_is_gone
from kimi_agent.mcp.client.http import read_whole

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def changing(place: Path, **options: Any) -> MCPServer:
    return MCPServer(sys.executable, str(Path(__file__).with_name("changing_server.py")), str(place), **options)


async def there(file: Path) -> None:
    async with asyncio.timeout(20):
        while not os.path.exists(file):  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.01)


def _mcp(error: ErrorData) -> MCPError:
    return MCPError(error.code, error.message, error.data)


def test_what_our_transport_says_cannot_be_said_by_a_server() -> None:
    assert failure_of(_mcp(error_of("gone", Failure(seen=False)))) == Failure(seen=False)
    for said in ({"seen": False}, {"not_sent": True}, {"kimi_agent": {"seen": False}}, "seen", None):
        assert failure_of(MCPError(-32000, "mine", said)) is None


@pytest.mark.parametrize(
    ("status", "session", "text", "gone"),
    [
        (404, True, "HTTP 404 Not Found: Session not found", True),
        (400, True, "Bad Request: No valid session ID provided", True),
        (404, True, "Session terminated", True),
        (404, True, "HTTP 404 Not Found: no such page", False),
        (404, False, "Session not found", False),  # none was named
        (500, True, "Session not found", False),
        (400, True, "order placed, but the checkout session could not be closed", False),
        (404, True, "order placed. Your session has been updated; page not found", False),
    ],
)
def test_a_session_is_gone_only_where_the_server_says_so(status: int, session: bool, text: str, gone: bool) -> None:
    assert session_is_gone(_mcp(error_of(text, Failure(status=status, session=session)))) is gone


async def test_a_tool_that_changed_while_the_user_was_asked_does_not_run(tmp_path: Path) -> None:
    async def approver(context: RunContext[Any], made: ToolCall, arguments: dict[str, Any]) -> Approve:
        (tmp_path / "says").write_text("deletes everything", encoding="utf-8")
        async with asyncio.timeout(20):  # until the server's word has been heard, which it may send long before
            while not any("everything" in (tool.description or "") for tool in await server.list_tools()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return Approve()

    server = changing(tmp_path, needs_approval=True)
    async with server:
        result = await Agent(ScriptedModel([call("tidy"), "ok"]), tools=[server], approver=approver).run("go")
    answer = next(m for m in result.messages if isinstance(m, ToolMessage))
    assert answer.is_error and "not the tool any more that was approved" in answer.text
    assert not (tmp_path / "ran").exists()


async def test_a_short_time_out_of_one_does_not_end_the_call_of_another(tmp_path: Path) -> None:
    async with changing(tmp_path, ping_timeout=0.3) as server:  # it answers no ping while it is busy
        long = asyncio.create_task(server.call("busy", {"seconds": 2}))
        await there(tmp_path / "began")
        with pytest.raises(TimeoutError):
            await server.call("lamp", timeout=0.2)
        assert not (await long).is_error
        assert server.status.restarts == 0


async def test_closing_is_final_for_a_call_that_waits_for_its_turn(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.start=exit1") as one:
        waiting = asyncio.create_task(one.server.call("lamp", {"name": "x"}))
        await one.until(lambda: len(one.events("start")) > 1)
        await asyncio.sleep(0.1)
        await one.server.aclose()
        with pytest.raises(MCPServerError):
            await waiting
        started = len(one.events("start"))
        await asyncio.sleep(1.0)
        assert len(one.events("start")) == started


async def test_a_server_that_cannot_be_told_its_log_level_is_used_all_the_same(tmp_path: Path) -> None:
    async with changing(tmp_path) as server:  # says that it logs, and does not know logging/setLevel
        assert not (await server.call("lamp")).is_error
        assert server.status.restarts == 0


async def test_a_question_stops_the_clock_of_its_own_call_only() -> None:
    asked = asyncio.Event()
    answered = asyncio.Event()

    async def slow(question: Elicitation) -> dict[str, Any]:
        asked.set()
        await answered.wait()
        return {"name": "Ada"}

    with small_over_http() as url:
        async with MCPServer(url=url, name="small", elicit=slow, timeout=0.5) as server:
            asking = asyncio.create_task(server.call("name_of_user"))
            await asked.wait()
            with pytest.raises(TimeoutError):
                await server.call("nap")
            answered.set()
            assert not (await asking).is_error


def test_closing_in_another_loop_is_told() -> None:
    server = small()
    agent = Agent(ScriptedModel([call("add", a=1, b=1), "2"]), tools=[server])
    assert agent.run_sync("go").output == "2"
    with pytest.raises(UserError, match=r"close\(\)"):
        asyncio.run(server.aclose())
    server.close()
    asyncio.run(server.aclose())


def _response(*chunks: bytes) -> httpx2.Response:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    request = httpx2.Request("POST", "http://127.0.0.1/mcp")
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream(), request=request)


async def test_events_that_hold_no_message_do_not_come_through() -> None:
    good = b'event: message\ndata: {"jsonrpc": "2.0", "method": "notifications/x"}\n\n'
    odd = b'event: \x1b]0;OWNED\ndata: {"jsonrpc": "2.0", "method": "notifications/x"}\n\n', b"data: nonsense\n\n"
    told = b"".join([piece async for piece in only_messages(_response(*odd, good, b": comment\n\n")).aiter_bytes()])
    assert told.count(b"jsonrpc") == 1 and b"OWNED" not in told and b"nonsense" not in told


@pytest.mark.slow
async def test_an_event_and_a_body_have_a_bound() -> None:
    endless = [b"data: " + b"x" * 65_000 + b"\n"] * 1_100
    with pytest.raises(Exception, match="64 MiB"):
        async for _ in only_messages(_response(*endless)).aiter_bytes():
            pass
    with pytest.raises(httpx2.ReadError, match="64 MiB"):
        await read_whole(_response(*endless))


async def test_what_belongs_to_no_run_is_bounded() -> None:
    model = ScriptedModel(["mine"] * 30)
    with small_over_http() as url:
        async with MCPServer(url=url, name="small", sampling_model=model) as server:
            for _ in range(20):
                assert not (await server.call("think", {"question": "?", "max_tokens": 10**9})).is_error
            with pytest.raises(MCPServerError, match="too many sampling requests"):
                await server.call("think", {"question": "?"})
    assert {request.settings.max_tokens for request in model.requests} == {32_768}
