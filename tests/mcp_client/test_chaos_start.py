"""A server that does not start, or not as it should: one warning, its tools missing, and the agent goes on."""

import asyncio
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos_drill import CHAOS, chaos, do, free_port, listener, nothing_left, run

from kimi_agent import Agent, MCPServer, ScriptedModel, call
from kimi_agent.errors import MCPServerError

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_QUICK = {"start_timeout": 1.0}
_START = [  # options of the server, transport, the client's options, what the warning says
    (["on.start=exit1"], "stdio", {}, r"ended with exit code 1.*CHAOS_HOME"),
    (["on.start=exit0"], "stdio", {}, r"ended with exit code 0"),
    (["on.start=sigkill"], "stdio", {}, r"signal 9"),
    (["on.start=crash"], "stdio", {}, r"signal 11"),
    (["on.start=close_stdout"], "stdio", {}, r"closed its stdout"),
    (["on.start=hang"], "stdio", _QUICK, r"did not answer within 1 s"),
    (["on.start=grandchild_exit"], "stdio", {}, r"exit code 1"),
    (["on.initialize=exit1"], "stdio", {}, r"exit code 1.*CHAOS_HOME"),
    (["on.initialize=mute"], "stdio", _QUICK, r"did not answer within 1 s"),
    (["on.initialize=error"], "stdio", {}, r"the disk is full"),
    (["on.initialize=odd_initialize"], "stdio", {}, r"no MCP message"),
    (["on.initialize=error_text"], "stdio", _QUICK, r"."),
    (["version=1999-01-01"], "stdio", {}, r"1999-01-01"),
    (["on.tools/list=exit1"], "stdio", {}, r"exit code 1"),
    (["on.tools/list=error"], "stdio", {}, r"the disk is full"),
    (["on.initialize=mute"], "http", _QUICK, r"did not answer within 1 s"),
    (["on.initialize=slowloris"], "http", _QUICK, r"did not answer within 1 s"),
    (["on.initialize=html"], "http", {}, r"text/html.*log in"),
    (["on.initialize=status_500"], "http", {}, r"500.*Traceback"),
    (["on.initialize=status_503"], "http", {}, r"503"),
    (["on.initialize=redirect"], "http", {}, r"127\.0\.0\.2"),
    (["on.initialize=redirect_loop"], "http", {}, r"Redirect"),
    (["on.initialize=reset"], "http", {}, r"\w+"),
    (["on.initialize=exit1"], "http", {}, r"\w+"),
    (["auth=1"], "http", {}, r"401.*headers="),
    (["get=mute"], "sse", _QUICK, r"did not answer within 1 s"),
    (["get=500"], "sse", {}, r"500"),
    (["on.initialize=mute"], "sse", _QUICK, r"did not answer within 1 s"),
]


@pytest.mark.parametrize(
    ("options", "how", "client", "warning"), _START, ids=[f"{o[0].replace('/', '_')}-{how}" for o, how, _, _ in _START]
)
async def test_a_server_that_cannot_be_had_is_one_warning_and_its_tools_are_missing(
    options: list[str], how: str, client: dict[str, Any], warning: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "kimi_agent"):
        async with chaos(tmp_path, *options, how=how, **client) as one:
            ran = await run(one.server, call("lamp", name="lamp"))
    assert ran.texts == ["lamp is on"] and ran.stop_reason == "completed"
    assert [t.name for t in ran.model.requests[0].tools] == ["lamp"]
    told = [r.getMessage() for r in caplog.records if r.name.startswith("kimi_agent") and r.levelno >= logging.WARNING]
    assert any(re.search(f"(?s)chaos.*{warning}", text) for text in told), told
    assert len(told) == 1, told


@pytest.mark.parametrize(
    "fault", ["banner", "print", "bad_utf8", "no_rpc", "half_json", "grandchild", "stderr_flood", "unknown_ids"]
)
async def test_a_server_that_babbles_before_it_is_greeted_starts_all_the_same(fault: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, f"on.start={fault}", "size=20") as one:
        assert (await run(one.server, do("a"))).texts == ["do did a"]


async def test_a_redirect_to_another_host_is_not_followed(tmp_path: Path) -> None:
    async with listener() as (url, heard):
        headers = {"Authorization": "Bearer chaos-secret-0123456789"}
        async with chaos(tmp_path, "on.initialize=redirect", f"elsewhere={url}", how="http", headers=headers) as one:
            with pytest.raises(MCPServerError, match="Redirect") as caught:
                await one.server.list_tools()
        assert heard == [] and "chaos-secret" not in str(caught.value)


async def test_a_command_that_is_not_there() -> None:
    async with nothing_left():
        server = MCPServer("no-such-program-anywhere", name="chaos")
        ran = await run(server, call("lamp", name="lamp"))
        with pytest.raises(MCPServerError, match="no-such-program-anywhere"):
            await server.list_tools()
        await server.aclose()
    assert ran.texts == ["lamp is on"]


async def test_a_port_where_nobody_listens() -> None:
    async with nothing_left():
        server = MCPServer(url=f"http://127.0.0.1:{free_port()}/mcp", name="chaos")
        with pytest.raises(MCPServerError, match="cannot be reached"):
            await server.list_tools()
        ran = await run(server, call("lamp", name="lamp"))
        await server.aclose()
    assert ran.texts == ["lamp is on"]


@pytest.mark.parametrize("moment", ["server/discover", "start"])
async def test_a_required_server_that_cannot_be_had_ends_the_run(moment: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, f"on.{moment}=exit1", "on.initialize=exit1", required=True) as one:
        with pytest.raises(MCPServerError, match=r"(?s)exit code 1.*CHAOS_HOME"):
            await run(one.server)


async def test_an_old_server_that_dies_of_a_request_it_does_not_know_is_greeted_as_it_is_used_to(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.server/discover=exit1") as one:
        ran = await run(one.server, do("a"))
        await one.server.aclose()
    assert ran.texts == ["do did a"]
    assert len(one.events("start")) == 2


async def test_what_it_learned_of_an_old_server_it_remembers(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.server/discover=exit1") as one:
        ran = await run(one.server, do("a"), do("b", "exit1"), do("c"))
    assert ran.texts[0::2] == ["do did a", "do did c"]
    assert [e["method"] for e in one.events("got")].count("server/discover") == 1


async def test_a_server_that_is_down_is_back_in_a_later_turn(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.start=exit1", "heals_after=2") as one:

        async def later(request: Any) -> Any:
            await asyncio.sleep(0.7)  # longer than the first pause between attempts
            return call("lamp", name="again")

        ran = await run(one.server, call("lamp", name="lamp"), later, do("a"))
        offered = [[t.name for t in request.tools] for request in ran.model.requests]
    assert ran.texts == ["lamp is on", "again is on", "do did a"]
    assert offered[0] == ["lamp"] and "do" in offered[2]


@pytest.mark.slow
async def test_a_server_that_did_not_start_is_tried_again_beside_the_turns(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.initialize=mute", start_timeout=1.0) as one:

        async def later(request: Any) -> Any:
            await asyncio.sleep(1.5)  # longer than the first pause between attempts
            return call("lamp", name="lamp")

        async def now(request: Any) -> Any:
            await one.until(lambda: one.server.status.state == "starting")  # the model was asked while it starts, not after
            return call("lamp", name="again")

        ran = await run(one.server, later, now)
    assert ran.texts == ["lamp is on", "again is on"]


async def test_a_slow_server_does_not_hold_up_another(tmp_path: Path) -> None:
    async with (
        chaos(tmp_path, "on.initialize=mute", name="slow", start_timeout=1.0) as slow,
        chaos(tmp_path, name="quick", alone=False) as quick,
    ):
        ran = await run([slow.server, quick.server], do("a"))
        assert ran.texts == ["do did a"]
        assert quick.events("got")[0]["at"] - slow.events("start")[0]["at"] < 1.0  # both were started before one was given up


async def test_starting_is_tried_again_at_growing_distances(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.start=exit1") as one:
        for _ in range(20):
            with pytest.raises(MCPServerError, match="exit code 1"):
                await one.server.list_tools()
    assert len(one.events("start")) <= 4  # twice in an attempt: the second time without server/discover


async def test_agent_whose_only_server_is_bad_can_be_asked_all_the_same() -> None:
    server = MCPServer(sys.executable, str(CHAOS.with_name("no_such_file.py")), name="chaos")
    async with nothing_left():
        result = await Agent(ScriptedModel(["Hello."]), tools=[server]).run("Hi")
        await server.aclose()
    assert result.output == "Hello."
