"""`--mcp` of `kimi-agent run` and `chat`: servers are processes, and the model is a loopback endpoint."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_process import SAYS, cli, environment, script, terminal
from loopback import delta, serving
from test_mcp_call import CHILD, is_gone, pids

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def calls(name: str, **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [delta(tool_calls=[{"index": 0, "id": "c", "function": function}]), delta("tool_calls")]


def config(directory: Path, **servers: Any) -> Path:
    path = directory / "mcp.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


def child(how: str = "", **more: Any) -> dict[str, Any]:
    program, script = CHILD.split()
    return {"command": program, "args": [script, *([how] if how else [])], **more}


async def test_the_tools_of_servers_are_the_agents() -> None:
    async with serving(script(calls("echo", text="from afar"), SAYS)) as endpoint:
        code, out, err = await cli("run", "--mcp", CHILD, "Say it.", url=endpoint.url)
    assert (code, err) == (0, "")
    assert "← from afar" in out and out.rstrip().endswith("18 degrees.")
    assert "join" in [t["function"]["name"] for t in endpoint.bodies[0]["tools"]]


async def test_progress_and_warnings_of_a_server_are_shown_while_it_works() -> None:
    async with serving(script(calls("work"), SAYS)) as endpoint:
        _, out, _ = await cli("run", "--mcp", CHILD, "Work.", url=endpoint.url)
        assert "  … 1/3 part 1" in out and "nearly full" in out
    async with serving(script(calls("work"), SAYS)) as endpoint:
        _, out, _ = await cli("run", "--json", "--mcp", CHILD, "Work.", url=endpoint.url)
    events = [json.loads(line) for line in out.splitlines()]
    told = [(e["progress"], e["total"], e["text"]) for e in events if e["event"] == "ToolProgress"]
    assert told == [(1, 3, "part 1"), (2, 3, "part 2"), (3, 3, "part 3")]
    assert [(e["level"], e["text"]) for e in events if e["event"] == "ToolLog"] == [("warning", "nearly full")]


async def test_bad_servers_are_warnings_and_the_run_goes_on(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        dead=child("dies"),
        unset=child(env={"TOKEN": "${NOT_SET_ANYWHERE}"}),
        off={"command": "no-such-program", "disabled": True},
        good=child(),
    )
    async with serving(script(calls("echo", text="here"), SAYS)) as endpoint:
        code, out, err = await cli("run", "--mcp-config", str(path), "--mcp", "no-such-thing --x", "Say it.", url=endpoint.url)
    assert code == 0 and "← here" in out
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 3, err
    assert "exit code 3" in err and "cannot open /etc/kimi" in err and "NOT_SET_ANYWHERE" in err and "no-such-thing" in err


async def test_tools_of_two_servers_that_have_the_same_names_are_told_apart(tmp_path: Path) -> None:
    async with serving(script(calls("two__echo", text="of the second"), SAYS)) as endpoint:
        code, out, err = await cli("run", "--mcp", CHILD, "--mcp", f"two={CHILD}", "Say it.", url=endpoint.url)
    assert (code, err) == (0, "") and "← of the second" in out
    async with serving(script(SAYS)) as endpoint:
        assert (await cli("run", "--mcp", CHILD, "--mcp", CHILD, "Say it.", url=endpoint.url))[0] == 0
        code, _, err = await cli("run", "--mcp", f"a={CHILD}", "--mcp", f"a={CHILD}", "Say it.", url=endpoint.url)
    assert code == 2 and "two MCP servers are named 'a'" in err
    assert len(endpoint.bodies) == 1 and len(endpoint.bodies[0]["tools"]) == 16


async def test_the_schemas_of_a_servers_tools_are_shown() -> None:
    code, out, _ = await cli("tools", "--mcp", CHILD, "--json")
    assert code == 0 and json.loads(out)[0]["function"]["parameters"]["properties"]["times"]["type"] == "integer"
    code, out, err = await cli("tools", "--mcp", CHILD + " dies")
    assert (code, out) == (3, "") and "exit code 3" in err and err.count("error: ") + err.count("warning: ") == 1


async def test_a_server_that_is_required_ends_the_run(tmp_path: Path) -> None:
    path = config(tmp_path, dead=child("dies", required=True))
    async with serving(script(SAYS)) as endpoint:
        code, _, err = await cli("run", "--mcp-config", str(path), "Say it.", url=endpoint.url)
    assert code == 3 and "error: " in err and "exit code 3" in err and not endpoint.bodies


async def test_a_server_of_the_users_configuration_goes_by_its_name_and_one_of_the_directory_is_never_read(tmp_path: Path) -> None:
    own = tmp_path / "home" / "kimi-agent"
    own.mkdir(parents=True)
    config(own, kid=child())
    config(tmp_path, trap=child())
    (tmp_path / ".mcp.json").write_text((tmp_path / "mcp.json").read_text())
    home = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    async with serving(script(calls("echo", text="by name"), SAYS)) as endpoint:
        code, out, _ = await cli("run", "--mcp", "kid", "Say it.", url=endpoint.url, cwd=tmp_path, **home)
        assert code == 0 and "← by name" in out
    async with serving(script(SAYS)) as endpoint:
        assert (await cli("run", "Say it.", url=endpoint.url, cwd=tmp_path, **home))[0] == 0
        assert "tools" not in endpoint.bodies[0]
        code, _, err = await cli("run", "--mcp", "trap", "Say it.", url=endpoint.url, cwd=tmp_path, **home)
    assert code == 2 and "neither a server of the configuration (there are kid)" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_in_mid_call_leaves_no_server_behind(tmp_path: Path, number: int) -> None:
    marker = tmp_path / "pids"
    path = config(tmp_path, kid=child(env={"CHILD_PID_FILE": str(marker)}))
    async with serving(script(calls("wait"), SAYS)) as endpoint:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kimi_agent", "run", "--json", "--mcp-config", str(path), "Wait.", env=environment(endpoint.url),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        while b"ToolBegin" not in (line := await process.stdout.readline()):
            assert line
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else 143), err.decode()
    assert b"Traceback" not in err and all(is_gone(pid) for pid in await pids(marker))


async def test_a_chat_keeps_its_servers_from_message_to_message(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    path = config(tmp_path, kid=child(env={"CHILD_PID_FILE": str(marker)}))
    answers = [calls("echo", text="one"), SAYS, calls("echo", text="two"), SAYS]
    async with serving(script(*answers)) as endpoint:
        code, out, err = await cli("chat", "--mcp-config", str(path), url=endpoint.url, stdin="First.\nSecond.\n")
    assert (code, err) == (0, "") and out.count("18 degrees.") == 2
    assert [b["messages"][-1]["content"] for b in endpoint.bodies if b["messages"][-1]["role"] == "tool"] == ["one", "two"]
    assert len(await pids(marker)) == 1


async def test_a_chat_asks_what_the_server_wants_to_know_and_lists_its_tools() -> None:
    async with (
        serving(script(calls("ask"), SAYS)) as endpoint,
        terminal("chat", "--mcp", f"kid={CHILD}", url=endpoint.url) as shown,
    ):
        await shown.says("Ask me.")
        await shown.sees("Who are you?")
        for line in ("y", "Ada", "36", "red", ""):
            await shown.says(line)
        await shown.sees("18 degrees.")
        await shown.says("/tools")
        await shown.sees("echo  Says it again.")
        await shown.listens()
        shown.type("\x04")
        assert await shown.process.wait() == 0
    assert json.loads(endpoint.bodies[1]["messages"][-1]["content"])["content"]["age"] == 36
