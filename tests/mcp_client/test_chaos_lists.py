"""A server whose list of tools is long, late, endless or wrong: what is good of it is offered, and the model's rules hold."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from chaos_drill import Chaos, chaos, do, listener, run

from kimi_agent import call

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_LEGAL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")


async def _offered(one: Chaos, *turns: Any) -> tuple[list[str], list[str]]:
    """The names that the model saw, and the results of the calls."""
    ran = await run(one.server, *turns, call("lamp", name="lamp"))
    assert ran.texts[-1] == "lamp is on"
    return [t.name for t in ran.model.requests[0].tools], ran.texts[:-1]


@pytest.mark.parametrize(
    "kind", ["bad_names", "bad_schemas", "odd_schemas", "text_schema", "no_schema", "no_name", "number_name", "null_tool"]
)
async def test_one_bad_tool_does_not_cost_the_others(kind: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, f"list={kind}") as one:
        names, texts = await _offered(one, do("a"))
    assert {"do", "do_safely", "structured", "echo"} <= set(names)
    assert texts == ["do did a"]
    assert all(_LEGAL.fullmatch(name) for name in names) and len(set(names)) == len(names)


@pytest.mark.parametrize("kind", ["no_list", "null"])
async def test_a_list_that_is_none_is_a_warning(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kimi_agent"):
        async with chaos(tmp_path, f"list={kind}") as one:
            names, _ = await _offered(one)
    assert names == ["lamp"]
    assert any("chaos" in r.getMessage() for r in caplog.records if r.name.startswith("kimi_agent"))


async def test_names_that_no_model_takes_reach_the_tool_that_was_meant(tmp_path: Path) -> None:
    async with chaos(tmp_path, "list=bad_names") as one:
        tools = {t.original: t.name for t in await one.server.list_tools()}
        wanted = ["two words", "a/b/c", "x" * 200, "天气", ".hidden", "tab\there", "new\nline", "emoji 🙂", "UPPER", "upper"]
        ran = await run(one.server, [call(tools[name], text="hi") for name in wanted])
    assert [e["name"] for e in one.events("effect")] == wanted
    assert not any(ran.errors)


async def test_odd_schemas_can_be_called_and_broken_ones_never_end_the_run(tmp_path: Path) -> None:
    odd = {"no_type", "no_type_but_properties", "loop", "tree", "bad_pattern", "bad_required", "null_properties", "bad_output"}
    broken = {"dangling", "big", "deep", "bad_type", "array"}
    async with chaos(tmp_path, "list=bad_schemas") as one:
        listed = {t.original: t.name for t in await one.server.list_tools()}
        ran = await run(one.server, [call(listed.get(name, name)) for name in sorted(odd | broken)], do("a"))
    assert ran.stop_reason == "completed" and ran.texts[-1] == "do did a"
    assert odd <= {e["name"] for e in one.events("effect")}


async def test_no_schema_makes_the_client_reach_into_the_net(tmp_path: Path) -> None:
    async with listener() as (url, heard), chaos(tmp_path, "list=net", f"elsewhere={url}") as one:
        ran = await run(one.server, call("net", x="1"), do("a"))
        assert heard == []
    assert ran.texts[1] == "do did a"


@pytest.mark.parametrize("kind", ["loop", "endless"])
async def test_pages_without_an_end_end(kind: str, tmp_path: Path) -> None:
    async with chaos(tmp_path, f"list={kind}") as one:
        names, _ = await _offered(one)
    assert len(names) > 1
    assert sum(e["method"] == "tools/list" for e in one.events("got")) <= 1000


async def test_a_thousand_tools(tmp_path: Path) -> None:
    async with chaos(tmp_path, "list=many", "size=1000") as one:
        tools = await one.server.list_tools()
        assert len(tools) == 1000 and one.server.status.tools == 1000
        ran = await run(one.server, call("search_tools", query="tool_777"), call("tool_777", text="hi"))
    assert [e["name"] for e in one.events("effect")] == ["tool_777"], ran.texts


async def test_a_list_that_comes_slowly_holds_up_nothing_else(tmp_path: Path) -> None:
    async with chaos(tmp_path, "list=slow", "size=1", name="slow") as slow, chaos(tmp_path, name="quick", alone=False) as quick:
        ran = await run([slow.server, quick.server], call("lamp", name="lamp"))
        assert len(ran.model.requests[0].tools) == 9
        listed = [e["at"] for e in quick.events("got") if e["method"] == "tools/list"]
        assert listed[0] - slow.events("start")[0]["at"] < 1


async def test_a_tool_more_is_there_in_the_next_turn(tmp_path: Path) -> None:
    async with chaos(tmp_path, "list=growing") as one:
        ran = await run(one.server, do("a", "grow"), call("late_0", text="hi"), do("b", "grow"), call("late_1", text="hi"))
    assert not any(ran.errors), ran.texts
    assert [e["name"] for e in one.events("effect")] == ["do", "late_0", "do", "late_1"]


async def test_a_list_is_fetched_once_as_long_as_nothing_changes(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        await run(one.server, *[do(f"{n}") for n in range(5)])
        await run(one.server, do("last"))
    assert [e["method"] for e in one.events("got")].count("tools/list") == 1


async def test_a_storm_of_changes_fetches_no_more_than_a_list_a_turn(tmp_path: Path) -> None:
    async with chaos(tmp_path) as one:
        await run(one.server, do("a", "storm", size=1), do("b"), do("c"))
    assert [e["method"] for e in one.events("got")].count("tools/list") <= 4


async def test_a_modern_server_tells_of_changes_to_who_listens(tmp_path: Path) -> None:
    async with chaos(tmp_path, "modern=1") as one:
        ran = await run(one.server, do("a"), do("b", "exit1"), do("c"))
    assert ran.texts[0::2] == ["do did a", "do did c"] and "outcome is unknown" in ran.texts[1]
    assert one.server.status.restarts == 1 or one.server.status.state == "idle"
    assert "subscriptions/listen" in [e["method"] for e in one.events("got")]
