"""A client that believes all it is told must fail, in the way that a reader of the report would expect."""

import sys
from pathlib import Path

import pytest

from kimi_agent.errors import UserError
from kimi_agent.verify.faults import Case, Plan, Row, choose, load_cases, score, table

pytestmark = pytest.mark.anyio
NAIVE = Path(__file__).with_name("naive.py")
CASES = {case.id: case for case in load_cases()}


async def rows_of(adapter: Path, *names: str, limit: float = 20) -> list[Row]:
    return await score([CASES[name] for name in names], Plan(adapter=adapter, jobs=1, limit=limit))


def written(path: Path, body: str) -> Path:
    path.write_text(f"async def run_case(base_url, case, execute):\n    {body}\n")
    return path


async def test_a_naive_client_passes_what_is_clean_and_nothing_that_is_not() -> None:
    faulty = [
        "leak_plural_n",
        "args_trailing_comma_s",
        "args_nan_n",
        "stream_cut_clean_eof_s",
        "http_500_html_s",
        "schema_oneof_const_n",
    ]
    rows = {row.id: row for row in await rows_of(NAIVE, "clean_single_n", "clean_pair_s", *faulty)}
    assert [name for name, row in rows.items() if row.passed] == ["clean_single_n", "clean_pair_s"]
    assert table(list(rows.values()))["total"] == (2, 8)
    leak = rows["leak_plural_n"]
    assert leak.outcome.outcome == "completed" and "<|tool_calls_section_begin|>" in (leak.outcome.final_text or "")
    assert any(why.startswith("executed []") for why in leak.why)
    assert rows["args_nan_n"].why[0].startswith('executed [\'["set_threshold"')  # NaN was let through
    assert rows["http_500_html_s"].outcome.outcome == "error:ClientResponseError"
    assert "oneOf" in rows["schema_oneof_const_n"].violations[0]
    assert rows["args_trailing_comma_s"].outcome.outcome == "error:JSONDecodeError"


async def test_the_adapter_of_the_benchmarks_plays_the_cases_on_the_public_api() -> None:
    adapter = NAIVE.parents[2] / "benchmarks" / "faults_adapter.py"
    imports = [line for line in adapter.read_text().splitlines() if "kimi_agent" in line and "import" in line]
    assert [line.partition(" import")[0] for line in imports] == ["from kimi_agent"]
    rows = await rows_of(adapter, "clean_pair_s", "args_nan_n", "http_502_html_n")
    assert all(row.passed for row in rows), [row.why for row in rows]


@pytest.mark.slow
async def test_what_a_client_does_to_its_process_does_not_end_the_scoring(tmp_path: Path) -> None:
    names = ("clean_single_n", "clean_no_tool_s")
    for body, outcome, detail, limit in [
        ("import time\n    if case['id'] != 'warm': time.sleep(60)", "timeout", "", 0.2),
        (
            "import os, sys\n    if case['id'] != 'warm': sys.exit('the client is broken')",
            "crash:process ended",
            "the client is broken",
            20,
        ),
        ("print('{}'); print('noise'); raise KeyError('choices')", "crash:KeyError", "'choices'", 20),
    ]:
        rows = await rows_of(written(tmp_path / "adapter.py", body), *names, limit=limit)
        assert [row.outcome.outcome for row in rows] == [outcome] * 2 and not any(row.passed for row in rows)
        assert detail in rows[0].outcome.detail


async def test_an_adapter_that_cannot_be_loaded_is_told_at_once(tmp_path: Path) -> None:
    absent = written(tmp_path / "absent.py", "pass")
    absent.write_text("import no_such_client\n" + absent.read_text())
    with pytest.raises(UserError, match=r"absent\.py cannot be loaded .*no_such_client"):
        await rows_of(absent, "clean_single_n")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match="run_case"):
        await rows_of(tmp_path / "empty.py", "clean_single_n")
    with pytest.raises(UserError, match="cannot be started"):
        await score([CASES["clean_single_n"]], Plan(python=str(tmp_path / "python")))


async def test_an_adapter_sees_neither_script_nor_expectation_and_finds_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_it.py").write_text("TEXT = 'there'\n")
    adapter = written(tmp_path / "peeks.py", "return {'outcome': 'error:' + str(sorted(case)), 'final_text': None}")
    adapter.write_text("import neighbour_of_it\n" + adapter.read_text())
    (row,) = await rows_of(adapter, "clean_no_tool_s")
    assert "script" not in row.outcome.outcome and "expect" not in row.outcome.outcome and "'user'" in row.outcome.outcome


@pytest.mark.skipif(not Path("/usr/bin/env").exists(), reason="needs a POSIX system")
async def test_the_client_needs_no_kimi_agent_in_its_interpreter(tmp_path: Path) -> None:
    """-S -E: without site-packages, as in an environment of the user's that has never heard of us."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    python.chmod(0o755)
    body = "execute('get_weather', {'city': 'Paris', 'days': 3}); return {'outcome': 'completed', 'final_text': 'x'}"
    adapter = written(tmp_path / "bare.py", "if case['id'] == 'warm': return {}\n    " + body)
    (row,) = await score([CASES["clean_single_n"]], Plan(adapter=adapter, python=str(python)))
    assert row.outcome.executed == [{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]


def test_a_case_file_that_is_wrong_is_refused_with_its_line(tmp_path: Path) -> None:
    good = CASES["clean_no_tool_s"].model_dump_json(by_alias=True, exclude={"script"}).removesuffix("}") + ',"script":[%s]}'
    for lines, says in [
        ([good % "", "{"], "line 2"),
        ([good % "", good % ""], "more than one case"),
        ([good % '{"then": "explode"}'], "script.0.then"),
        ([good % '{"require": ["politeness"]}'], "politeness"),
        (['{"id": "a"}'], "class"),
    ]:
        (tmp_path / "cases.jsonl").write_text("\n".join(lines))
        with pytest.raises(UserError, match=says):
            load_cases(tmp_path / "cases.jsonl")
    with pytest.raises(UserError, match="cannot be read"):
        load_cases(tmp_path / "none.jsonl")


def test_cases_are_chosen_by_id_and_class() -> None:
    cases: list[Case] = list(CASES.values())
    assert {c.kind for c in choose(cases, kind="http")} == {"http"}
    assert [c.id for c in choose(cases, only="quota")] == ["http_429_quota_s"]
    with pytest.raises(UserError, match="clean, leak"):
        choose(cases, only="quota", kind="leak")
