"""`kimi-agent mcp call` as a user runs it: a process, that starts another."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from cli_process import ROOT, cli, environment, terminal

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
CHILD = f"{sys.executable} {ROOT}/tests/cli/mcp_child.py"


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def pids(marker: Path, least: int = 1) -> list[int]:
    """Of all servers that were started, once there are so many."""
    while (written := _text(marker)).count("\n") < least:  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)
    return [int(line) for line in written.split()]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_the_result_is_printed_and_nothing_else() -> None:
    code, out, err = await cli("mcp", "call", CHILD, "echo", "text=天气 5", "times=2")
    assert (code, out, err) == (0, "天气 5 天气 5\n", "")


async def test_json_holds_everything(tmp_path: Path) -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "join", "words=a", "words=b", "--json")
    assert code == 0
    assert json.loads(out) == {
        "tool": "join", "is_error": False, "content": [{"type": "text", "text": '{"joined": "a-b"}'}], "value": {"joined": "a-b"}
    }  # fmt: skip


async def test_arguments_may_come_from_standard_input() -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "echo", "-", stdin='{"text": "hi"}')
    assert (code, out) == (0, "hi\n")


async def test_images_are_told_of_and_can_be_saved(tmp_path: Path) -> None:
    code, out, err = await cli("mcp", "call", CHILD, "look", "--save", str(tmp_path))
    assert (code, out) == (0, "[image, image/png, 70 bytes]\na pixel\n")
    assert (tmp_path / "1-image.png").read_bytes().startswith(b"\x89PNG") and f"saved {tmp_path}/1-image.png" in err


async def test_progress_and_log_messages_go_to_standard_error() -> None:
    code, out, err = await cli("mcp", "call", CHILD, "work")
    assert (code, out) == (0, "worked\n")
    assert "… 1/3 part 1" in err and "… 3/3 part 3" in err and "! warning from" in err and "nearly full" in err


async def test_what_a_server_tells_of_itself_is_shown_without_its_secrets() -> None:
    code, out, err = await cli("mcp", "call", CHILD, "work", "--env", "API_TOKEN=nearly full")
    assert (code, out) == (0, "worked\n") and "! warning from" in err and "nearly full" not in err


async def test_a_tool_that_failed_has_an_exit_code() -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "fail")
    assert code == 1 and "the disk is" in out


async def test_without_a_tool_the_tools_are_listed_with_their_parameters() -> None:
    code, out, _ = await cli("mcp", "call", CHILD)
    assert code == 0 and "echo(text: string, times?: integer)" in out and "Says it again." in out
    _, out, _ = await cli("mcp", "call", CHILD, "--json")
    listed = {t["name"]: t for t in json.loads(out)}
    assert listed["join"]["output_schema"]["required"] == ["joined"] and listed["echo"]["parameters"]["required"] == ["text"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([CHILD, "ecco"], 2, "it has echo"),
        ([CHILD, "echo"], 2, "'text' is a required property"),
        ([CHILD, "echo", "text"], 2, "write key=value"),
        ([CHILD, "echo", "text=a", "times=often"], 2, "times: 'often' is no integer"),
        ([CHILD, "echo", "text=a", "--auth", "basic"], 2, "write --auth oauth"),
        ([CHILD + " dies", "echo", "text=a"], 3, "exit code 3"),
        (["http://127.0.0.1:9/mcp", "echo"], 3, "does it run, and listen at http://127.0.0.1:9/mcp"),
        (["no-such-program --stdio", "echo"], 3, "install it"),
        ([CHILD, "wait", "--timeout", "0.5"], 3, "did not finish in time"),
    ],
)
async def test_what_goes_wrong_is_said_without_a_traceback(arguments: list[str], code: int, says: str) -> None:
    got, out, err = await cli("mcp", "call", *arguments)
    assert (got, out) == (code, "")
    assert err.startswith("error: ") and says in err and "Traceback" not in err and "warning" not in err


async def test_the_last_words_of_a_server_are_told() -> None:
    _, _, err = await cli("mcp", "call", CHILD + " dies")
    assert "cannot open /etc/kimi: no such file" in err and "run it by hand: " in err


async def test_variables_are_given_to_the_server_and_those_of_the_shell_are_not() -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "environment", "name=MY_KEY", "--env", "MY_KEY=given", MY_KEY="of the shell")
    assert (code, out) == (0, "given\n")
    assert (await cli("mcp", "call", CHILD, "environment", "name=MY_KEY", MY_KEY="of the shell"))[1] == "not set\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("how", ["", " deaf"])
async def test_a_signal_ends_it_and_leaves_no_server_behind(tmp_path: Path, number: int, code: int, how: str) -> None:
    marker = tmp_path / "pids"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kimi_agent", "mcp", "call", CHILD + how, "wait", "--env", f"CHILD_PID_FILE={marker}",
        env=environment(), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    started = await pids(marker)
    await asyncio.sleep(0.5)
    process.send_signal(number)
    _, err = await process.communicate()
    assert process.returncode == code and b"Traceback" not in err, err.decode()
    assert all(is_gone(pid) for pid in started)


async def test_a_question_of_the_server_is_asked_at_the_terminal() -> None:
    async with terminal("mcp", "call", CHILD, "ask") as shown:
        await shown.sees("Who are you?")
        await shown.says("y")
        await shown.says("Ada")
        await shown.says("old")
        await shown.says("36")
        await shown.says("green")
        await shown.says("")
        await shown.sees('"content"')
        assert await shown.process.wait() == 0
    said = json.loads(next(line for line in shown.text.splitlines() if line.startswith('{"action"')))
    assert said == {"action": "accept", "content": {"name": "Ada", "age": 36, "colour": "green", "agreed": True}}


async def test_where_nobody_can_be_asked_the_server_is_told_so() -> None:
    code, out, _ = await cli("mcp", "call", CHILD, "ask")
    assert code == 0 and "not supported" in out


async def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mcp'] = sys.modules['mcp_types'] = None\n")
    for arguments in (["mcp", "call", CHILD, "echo"], ["mcp", "list"], ["run", "--mcp", CHILD, "Hi"]):
        code, _, err = await cli(*arguments, PYTHONPATH=str(tmp_path), url="http://127.0.0.1:9/v1")
        assert (code, err) == (2, "error: MCP servers need the package mcp: pip install 'kimi-agent[mcp]'\n")
