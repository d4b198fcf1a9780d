"""A server's death, its return, and its end: what was never sent is not lost, what may have run is not sent twice, and closing it
leaves nothing behind, however it behaves.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from chaos_drill import CHAOS, Chaos, alive, chaos, do, nap, nothing_left, run, start

from kimi_agent import Agent, Limits, MCPServer, ScriptedModel, call
from kimi_agent.errors import MCPServerError

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def _kill(one: Chaos, number: int = signal.SIGKILL) -> None:
    os.kill(one.events("start")[-1]["pid"], number)


async def test_a_call_after_a_death_that_was_noticed_is_answered_by_the_next_process(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:

        async def kill(request: Any) -> Any:
            _kill(one)
            await one.until(lambda: one.server.status.state == "down")
            return do("b")

        ran = await run(one.server, do("a"), kill)
    assert ran.texts == ["do did a", "do did b"]
    assert len(one.events("start")) == 2 and one.effects("b") == 1


@pytest.mark.parametrize("attempt", range(5))
async def test_a_call_in_the_moment_of_a_death_runs_once_or_its_outcome_is_unknown(attempt: int, tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        ran = await run(one.server, do("a", "answer_then_exit"), do("b"), do("c"))
    assert ran.texts[0] == "do did a" and ran.texts[2] == "do did c"
    assert ran.texts[1] == "do did b" or "outcome is unknown" in ran.texts[1]
    assert one.effects("a") == 1 and one.effects("b") <= 1


async def test_all_calls_in_flight_become_error_results(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:

        async def kill() -> None:
            await one.until(lambda: len(one.events("effect")) == 5)
            _kill(one)

        killing = asyncio.create_task(kill())
        ran = await run(one.server, [*(do(f"{n}", "mute") for n in range(5)), call("lamp", name="lamp")], do("b"))
        await killing
    assert all("signal 9" in text and "outcome is unknown" in text for text in ran.texts[:5]), ran.texts
    assert ran.texts[5:] == ["lamp is on", "do did b"]
    assert all(one.effects(f"{n}") == 1 for n in range(5))


async def test_calls_that_wait_for_a_server_that_starts_again_are_all_made_on_it(tmp_path: Path) -> None:
    async with chaos(tmp_path, "sleep=0.3") as one:
        ran = await run(one.server, do("a", "exit1"), [do(f"{n}") for n in range(10)])
    assert ran.texts[1:] == [f"do did {n}" for n in range(10)]
    assert len(one.events("start")) == 2


async def test_a_call_that_was_lost_over_http_does_not_cost_the_others(tmp_path: Path) -> None:
    async with chaos(tmp_path, how="http") as one:
        ran = await run(one.server, [do("a", "slow", size=700), do("b", "slow", size=300), do("c", "reset"), do("d", "cut")])
    assert ran.texts[:2] == ["do did a", "do did b"]
    assert all("unknown" in text for text in ran.texts[2:])
    assert [one.effects(label) for label in "abcd"] == [1, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["stop_reading", "hang"])
async def test_a_call_to_a_server_that_reads_no_more_ends_by_its_time_out(what: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, timeout=1.0) as one:
        big = do("b", text="x" * 1_000_000)  # more than a pipe holds
        agent = Agent(ScriptedModel([]), tools=[one.server, nap])
        ran = await run(one.server, [do("a", what), big, call("nap")], agent=agent)
        assert ran.errors[1] and "1 s" in ran.texts[1]
        assert ran.ended[-1] == "nap" and ran.texts[2] == "slept"
        assert one.effects("b") == 0


async def test_two_servers_one_dies_the_other_does_not_notice(tmp_path: Path) -> None:
    async with (
        chaos(tmp_path, name="good", prefix="good_") as good,
        chaos(tmp_path, name="bad", prefix="bad_", alone=False) as bad,
    ):
        ran = await run(
            [good.server, bad.server],
            [do("a", "slow", by="good_do", size=400), do("b", "exit1", by="bad_do")],
            [do("c", by="good_do"), do("d", by="bad_do")],
        )
    assert ran.texts[0] == "do did a" and "outcome is unknown" in ran.texts[1]
    assert ran.texts[2:] == ["do did c", "do did d"]
    assert len(good.events("start")) == 1 and len(bad.events("start")) == 2


async def test_a_server_that_dies_of_every_call_is_not_started_without_end(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.tools/call=exit1") as one:
        turns = [[do(f"{turn}-{n}") for n in range(4)] for turn in range(5)]
        ran = await run(one.server, *turns)
    assert all(ran.errors) and ran.stop_reason == "completed"
    assert len(one.events("start")) <= 6


async def test_an_idempotent_call_is_not_sent_for_ever(tmp_path: Path) -> None:
    async with chaos(tmp_path, trust_annotations=True) as one:
        ran = await run(one.server, do("a", "exit1", by="do_safely", again=True))
    assert ran.errors[0] and "exit code 1" in ran.texts[0]
    assert 2 <= one.effects("a") <= 3


async def test_twenty_deaths_use_up_nothing(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        await run(one.server, do("first"))
        open_files = len(os.listdir("/proc/self/fd"))
        for number in range(20):
            await run(one.server, do(f"{number}", "sigkill"), do(f"{number}-2"))
        assert len(os.listdir("/proc/self/fd")) <= open_files + 2
    assert all(one.effects(f"{n}") == one.effects(f"{n}-2") == 1 for n in range(20))


@pytest.mark.parametrize("what", ["asks_sampling", "asks_elicitation", "asks_roots", "asks_unknown", "asks_badly", "asks_after"])
async def test_what_was_not_offered_is_refused(what: str, tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        await run(one.server, do("a", what))
        await one.until(lambda: bool(one.events("answer")))
    assert "error" in one.events("answer")[0]["message"]


# ── what ends ──


@pytest.mark.parametrize("end", ["ignore", "grandchild_hang", "exit1", "stderr_flood", "close_stdout"])
async def test_closing_leaves_nothing_however_the_server_takes_it(end: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, f"on.end={end}", "size=5") as one:
        assert (await run(one.server, do("a", "grandchild"))).texts == ["do did a"]
    assert len(one.pids()) >= 2  # and `chaos` has seen that none of them lives


async def test_closing_in_the_middle_of_calls_leaves_nothing(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        calling = [asyncio.create_task(one.server.call("do", {"what": what, "label": what})) for what in ("mute", "hang")]
        await one.until(lambda: len(one.events("effect")) == 2)
        await one.server.aclose()
        ended = await asyncio.gather(*calling, return_exceptions=True)
    assert all(isinstance(each, MCPServerError) for each in ended), ended


async def test_closing_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    async with chaos(tmp_path, "on.initialize=mute") as one:
        starting = asyncio.create_task(one.server.list_tools())
        await one.until(lambda: len(one.events("got")) > 1)
        await one.server.aclose()
        with pytest.raises(MCPServerError, match="closed"):
            await starting


async def test_a_process_that_left_the_group_holds_up_nobody(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        ran = await run(one.server, do("a", "daemon"), do("b", "exit1"), do("c"))
        daemon = one.events("daemon")[0]["child"]
    os.kill(daemon, signal.SIGKILL)  # nobody but who knows of it can end it
    assert ran.texts[0::2] == ["do did a", "do did c"] and "exit code 1" in ran.texts[1]


async def test_a_cancelled_run_leaves_the_server_to_others(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        ran = await run(one.server, do("a"))
        agent = Agent(ScriptedModel([do("b", "mute"), "Done."]), tools=[one.server])
        result = await agent.run("Go.", limits=Limits(wall_clock=0.3))
        assert result.stop_reason == "wall_clock"
        again = await run(one.server, do("c"))
        assert (ran.texts, again.texts) == (["do did a"], ["do did c"])
        assert one.server.status.restarts == 0
        cancelled = [e for e in one.events("got") if e["method"] == "notifications/cancelled"]
        assert len(cancelled) == 1


async def test_a_run_that_is_cancelled_while_its_server_starts_leaves_nothing(tmp_path: Path) -> None:
    async with chaos(tmp_path, "sleep=0.5") as one:
        agent = Agent(ScriptedModel(["Hello."]), tools=[one.server])
        running = asyncio.create_task(agent.run("Go."))
        await one.until(lambda: bool(one.events("start")))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await run(one.server, do("a"))).texts == ["do did a"]
        assert len(one.events("start")) == 1


def test_an_event_loop_that_ends_takes_its_servers_with_it(tmp_path: Path) -> None:
    record = tmp_path / "loops.jsonl"
    server = MCPServer(sys.executable, "-E", "-S", str(CHAOS), str(record), name="chaos")

    async def once(label: str) -> str:
        return (await run(server, do(label))).texts[0]

    assert [asyncio.run(once("a")), asyncio.run(once("b"))] == ["do did a", "do did b"]
    deadline = time.monotonic() + 5
    while alive(Chaos(record, server).pids()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(Chaos(record, server).pids())


_PROGRAM = """
import asyncio, sys
from kimi_agent import MCPServer
async def main():
    await MCPServer(*sys.argv[1:], name="chaos").list_tools()
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_program_that_is_killed_leaves_no_server(tmp_path: Path) -> None:
    """Its stdin ends with the program: a server that heeds that goes by itself."""
    record = tmp_path / "killed.jsonl"
    program = subprocess.Popen([sys.executable, "-c", _PROGRAM, sys.executable, "-E", "-S", str(CHAOS), str(record)])
    one = Chaos(record, None)  # type: ignore[arg-type]
    deadline = time.monotonic() + 30
    while not any(e["method"] == "tools/list" for e in one.events("got")) and time.monotonic() < deadline:
        time.sleep(0.05)
    program.kill()
    program.wait()
    while alive(one.pids()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert one.pids() and not alive(one.pids())


# ── over HTTP ──


@pytest.mark.parametrize("how", ["http", "sse"])
async def test_a_server_that_is_killed_and_started_again_on_its_port(how: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, how=how, timeout=5.0) as one:
        port = one.events("listening")[0]["port"]

        async def restart(request: Any) -> Any:
            assert one.process is not None
            one.process.kill()
            one.process.wait()
            one.process = start(one.record, f"{how}={port}")
            await one.until(lambda: len(one.events("listening")) == 2)
            return do("b")

        try:
            ran = await run(one.server, do("a"), restart, do("c"))
        finally:
            await one.server.aclose()
            assert one.process is not None
            one.process.kill()
            one.process.wait()
    assert ran.texts[0] == "do did a" and ran.texts[2] == "do did c"
    assert ran.texts[1] == "do did b" or "outcome is unknown" in ran.texts[1]
    assert one.effects("b") == (ran.texts[1] == "do did b")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["http", "sse"])
async def test_a_frozen_server_costs_each_call_its_time_out_and_is_used_again_once_it_wakes(how: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, how=how, timeout=1.0) as one:
        assert one.process is not None

        def freeze(request: Any) -> Any:
            one.process.send_signal(signal.SIGSTOP)
            return [do("b"), do("c"), call("nap")]

        def wake(request: Any) -> Any:
            one.process.send_signal(signal.SIGCONT)
            return call("nap")

        agent = Agent(ScriptedModel([]), tools=[one.server, nap])
        ran = await run(one.server, do("a"), freeze, wake, do("d"), agent=agent)
    assert ran.texts[0] == "do did a" and ran.texts[-1] == "do did d", ran.texts
    assert all("1 s" in text or "unknown" in text for text in ran.texts[1:3])
    assert ran.ended[1:4] == ["do", "do", "nap"]
    assert one.effects("b") <= 1 and one.effects("c") <= 1


async def test_an_old_server_that_ends_its_stream_is_made_again(tmp_path: Path) -> None:
    async with chaos(tmp_path, how="sse", timeout=5.0) as one:
        ran = await run(one.server, do("a", "forget404"), do("b"), do("c"))
    assert ran.texts[0] == "do did a" and ran.texts[2] == "do did c"
    assert ran.texts[1] == "do did b" or "outcome is unknown" in ran.texts[1]
    assert one.effects("b") <= 1


async def test_a_server_that_is_gone_is_an_error_result_at_once(tmp_path: Path) -> None:
    async with chaos(tmp_path, how="http") as one:

        async def kill(request: Any) -> Any:
            assert one.process is not None
            one.process.kill()
            one.process.wait()
            return do("b")

        ran = await run(one.server, do("a"), kill, call("lamp", name="lamp"))
    assert ran.errors == [False, True, False] and "cannot be reached" in ran.texts[1]


@pytest.mark.parametrize("option", [pytest.param("delete=hang", marks=pytest.mark.slow), "get=hang", "get=405", "get=500"])
async def test_what_is_wrong_beside_the_calls_is_no_matter(option: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, option, how="http") as one:
        assert (await run(one.server, do("a"), do("b"))).texts == ["do did a", "do did b"]


async def test_a_session_that_is_closed_is_told_so(tmp_path: Path) -> None:
    async with chaos(tmp_path, how="http") as one:
        await run(one.server, do("a"))
    assert len(one.events("delete")) == 1


@pytest.mark.parametrize("how", ["http", "stdio"])
async def test_a_modern_server_needs_no_session(how: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, "modern=1", how=how) as one:
        ran = await run(one.server, do("a"), do("b"))
        assert one.server.status.protocol == "2026-07-28"
    assert ran.texts == ["do did a", "do did b"]
    assert "initialize" not in [e["method"] for e in one.events("got")]


async def test_many_runs_at_once_share_one_process(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one, nothing_left(alone=False):
        runs = await asyncio.gather(*(run(one.server, do(f"{n}", "slow", size=100), do(f"{n}-2")) for n in range(20)))
    assert [r.texts for r in runs] == [[f"do did {n}", f"do did {n}-2"] for n in range(20)]
    assert len(one.events("start")) == 1
