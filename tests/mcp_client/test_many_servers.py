"""Fifty servers with twenty tools each, one of them bad: real processes, started beside each other, and closed together."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from chaos_drill import CHAOS, Chaos, lamp, nothing_left

from kimi_agent import Agent, MCPServer, MCPServers, ScriptedModel, call

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_SERVERS, _TOOLS, _BAD = 50, 20, 13


def _server(directory: Path, number: int) -> MCPServer:
    """One of the fifty: it sleeps a second before it reads anything."""
    options = ["sleep=1", "list=many", f"size={_TOOLS}", f"prefix=part_{number}"]
    if number == _BAD:
        options.append("on.initialize=exit1")
    record = str(directory / f"{number}.jsonl")
    return MCPServer(sys.executable, "-E", "-S", str(CHAOS), record, *options, name=f"server_{number}")


def _overlap(servers: list[Chaos]) -> int:
    """How many were starting at one moment, at most: each from its start to its first message."""
    moments: list[tuple[float, int]] = []
    for each in servers:
        moments += [(each.events("start")[0]["at"], 1), (each.events("got")[0]["at"], -1)]
    now, most = 0, 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


async def test_fifty_servers_and_a_thousand_tools(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left() as left, asyncio.timeout(50):
        servers = MCPServers([_server(tmp_path, number) for number in range(_SERVERS)])
        made = [Chaos(tmp_path / f"{number}.jsonl", server) for number, server in enumerate(servers)]
        model = ScriptedModel(
            [
                call("search_tools", query="part_37_7"),
                [call("part_37_7", text="hi"), call("lamp", name="lamp")],
                "Done.",
            ]
        )
        with caplog.at_level(logging.WARNING, "kimi_agent"):
            result = await Agent(model, tools=[servers, lamp]).run("Go.")
        states = {server.name: server.status.state for server in servers}
        await servers.aclose()
        left.pids = set[int]().union(*(each.pids() for each in made))

    assert result.output == "Done."
    texts = [m.text for m in result.messages if type(m).__name__ == "ToolMessage"]
    assert texts[1:] == ["part_37_7 did " + '{"text": "hi"}', "lamp is on"], texts
    effects: dict[int, list[Any]] = {n: [e["name"] for e in each.events("effect")] for n, each in enumerate(made)}
    assert {n: names for n, names in effects.items() if names} == {37: ["part_37_7"]}

    assert _overlap(made) >= 25  # one after the other it would be 1
    assert [name for name, state in states.items() if state != "ready"] == [f"server_{_BAD}"]
    warnings = [r.getMessage() for r in caplog.records if r.name.startswith("kimi_agent")]
    assert len(warnings) == 1 and f"server_{_BAD}" in warnings[0], warnings

    offered = [len(request.tools) for request in model.requests]
    assert max(offered) < 50, offered  # of a thousand and one
    assert all(len(each.events("start")) == 1 for n, each in enumerate(made) if n != _BAD)
