"""`kimi-agent faults`: what its user sees, and its exit codes."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from cli_process import cli, environment

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # each starts a process that scores a stack
GIVES_UP = "async def run_case(base_url, case, execute):\n    raise ValueError(f'no \\x1b[2J {case[\"transport\"]}')\n"


async def test_cases_that_pass_end_with_0_and_a_table(tmp_path: Path) -> None:
    code, out, err = await cli("faults", "--class", "clean", "--only", "single", "--json", "out.json", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [["class", "passed", "of"], ["clean", "1", "1"], ["total", "1", "1"]]
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["table"] == {"clean": [1, 1], "total": [1, 1]}
    (row,) = told["rows"]
    assert row["id"] == "clean_single_n" and row["passed"] and row["requests"] == 2
    assert row["executed"] == [{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]


async def test_cases_that_fail_end_with_1_and_say_why(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(GIVES_UP)
    arguments = ["faults", "--adapter", "own.py", "--python", sys.executable, "--only", "http_4", "--transport", "mine"]
    code, out, err = await cli(*arguments, cwd=tmp_path)
    assert (code, err) == (1, "") and "failed: http_429_overloaded_s, http_429_retry_after_n (-v says why)" in out
    code, out, _ = await cli(*arguments, "-v", cwd=tmp_path)
    assert code == 1 and "wanted completed; " in out and "no [2J mine" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "nothing-like-it"], "the classes are clean, leak"),
        (["--rechunk", "often"], "every-byte"),
        *(
            pytest.param(*more, marks=pytest.mark.slow)  # a process each
            for more in [
                (["--cases", "none.jsonl"], "none.jsonl cannot be read"),
                (["--adapter", "none.py"], "there is no file none.py"),
                (["--python", "no-such-python"], "there is no program no-such-python"),
                (["--transport", "pigeon"], "aiohttp, httpx, openai"),
            ]
        ),
    ],
)
async def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], says: str) -> None:
    code, out, err = await cli("faults", *arguments, cwd=tmp_path)
    assert (code, out) == (2, "") and says in err and "Traceback" not in err


async def test_it_serves_the_cases_until_it_is_interrupted(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kimi_agent", "faults", "--serve", "0", "--class", "http"),
        cwd=tmp_path,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("9 cases at http://127.0.0.1:")
    url = line.partition("such as ")[2].partition(";")[0]
    async with aiohttp.ClientSession() as session:
        messages = [{"role": "user", "content": "?"}]
        async with session.post(f"{url}/chat/completions", json={"messages": messages, "stream": True}) as answer:
            assert answer.status == 429 and "overloaded" in await answer.text()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
