"""`kimi-agent mcp serve`: a process that other clients start, or reach over HTTP."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cli_process import ROOT, SAYS, WEATHER, cli, environment, script
from loopback import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SERVE = f"{sys.executable} -m kimi_agent mcp serve"
TOKEN = "a-token-of-24-characters"


@asynccontextmanager
async def served(*arguments: str, url: str = "") -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A server over HTTP on a free port, and its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kimi_agent", "mcp", "serve", *arguments, "--http", "0", env=environment(url, MY_TOKEN=TOKEN),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        assert line.startswith("serving http://127.0.0.1:"), line + (await process.stderr.read()).decode()
        yield line.split()[1], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_function_is_served_on_standard_streams() -> None:
    code, out, err = await cli("mcp", "call", f"{SERVE} {WEATHER}", "get_weather", "city=Paris", "--json")
    assert (code, err) == (0, "") and json.loads(json.loads(out)["content"][0]["text"])["celsius"] == 18


async def test_what_a_file_prints_does_not_disturb_the_protocol(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "print('imported')\n"
        "def add(a: int, b: int) -> int:\n    '''Adds.'''\n    print('adding')\n    return a + b\n"
        "def shout(text: str) -> str:\n    '''Shouts.'''\n    return text.upper()\n"
        "both = [add, shout]\n"
    )
    code, out, _ = await cli("mcp", "call", f"{SERVE} {tmp_path}/loud.py:both --name Loud", "add", "a=1", "b=2")
    assert (code, out) == (0, "3\n")
    code, out, _ = await cli("mcp", "doctor", f"{SERVE} {tmp_path}/loud.py --name Loud --instructions Ask.", "--json")
    report = json.loads(out)[0]
    assert (code, report["tools"], report["instructions"]) == (0, 2, "Ask.") and report["server"].startswith("Loud")


async def test_an_agent_is_served_as_a_tool(tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text("from kimi_agent import Agent\nhelper = Agent('kimi-k2.6', name='helper')\n")
    async with serving(script(SAYS)) as endpoint, served(f"{tmp_path}/agents.py:helper", url=endpoint.url) as (url, _):
        code, out, _ = await cli("mcp", "call", url, "helper", "prompt=What is the weather?")
    assert code == 0 and "Overcast, 18 degrees." in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_over_http_a_token_may_be_wanted_and_a_signal_ends_it(number: int, code: int) -> None:
    async with served(WEATHER, "--token-env", "MY_TOKEN") as (url, process):
        allowed = await cli("mcp", "call", url, "get_weather", "city=Paris", "--header", f"Authorization: Bearer {TOKEN}")
        assert allowed[0] == 0 and '"celsius": 18' in allowed[1]
        refused = await cli(
            "mcp", "call", url, "get_weather", "city=Paris", "--header", "Authorization: Bearer wrong-token-wrong-token"
        )
        assert refused[0] == 3 and "401" in refused[2] and TOKEN not in refused[2]
        process.send_signal(number)
        out, err = await process.communicate()
        assert (process.returncode, out) == (code, b"") and b"Traceback" not in err and TOKEN.encode() not in err, err.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([f"{WEATHER}s"], "has no 'get_weathers'"),
        ([WEATHER, "--http", "here"], "write PORT or HOST:PORT"),
        ([WEATHER, "--http", "70000"], "write PORT or HOST:PORT"),
        ([WEATHER, "--http", "0.0.0.0:0"], "--insecure"),
        ([WEATHER, "--http", "0", "--token-env", "NOT_SET"], "this variable is not set"),
        ([WEATHER, "--http", "0", "--token-file", "nowhere"], "cannot be read"),
        ([WEATHER, "--token-env", "MY_TOKEN"], "are for --http"),
        ([f"{ROOT}/examples/weather.py:Weather.nothing"], "has no 'nothing'"),
    ],
)
async def test_mistakes_are_told_before_anything_is_served(arguments: list[str], says: str) -> None:
    code, out, err = await cli("mcp", "serve", *arguments, MY_TOKEN=TOKEN)
    assert (code, out) == (2, "") and err.startswith("error: ") and says in err and "Traceback" not in err and TOKEN not in err
