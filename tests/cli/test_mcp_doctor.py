"""`kimi-agent mcp doctor`: what is wrong with a server, and what to do about it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from cli_process import cli, environment
from test_mcp_call import CHILD, is_gone, pids

from kimi_agent.cli.mcp.remedies import remedy_for
from kimi_agent.cli.mcp.targets import Target

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(status: int, body: str, kind: str = "text/plain") -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type=kind)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/page"
    finally:
        await runner.cleanup()


@pytest.mark.slow
async def test_a_good_server_is_described() -> None:
    code, out, err = await cli("mcp", "doctor", f"kid={CHILD}")
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert lines[0][0] == "✓" and lines[0][1].startswith("kid")
    told = {line[0]: line[1] for line in lines[1:]}
    assert told["server"].startswith("child 1.2.3, protocol 2025-") and told["offers"].startswith("8 tools")
    assert told["capabilities"] == "logging, tools" and " ms" in out
    assert told["instructions"] == "Use echo first." and "problem" not in told


@pytest.mark.slow
async def test_what_has_to_be_changed_for_kimi_is_told() -> None:
    code, out, _ = await cli("mcp", "doctor", CHILD + " odd", "--json")
    report = json.loads(out)[0]
    assert (code, report["is_well"], report["tools"]) == (0, True, 10)
    assert list(report["renamed"]) == ["do it/now"] and report["renamed"]["do it/now"].startswith("do_it_now_")
    assert "type is not defined" in report["mended"]["mended"] and not report["refused"]


@pytest.mark.slow
async def test_all_of_the_configuration_is_tried_and_what_fails_has_its_cause_and_a_remedy(tmp_path: Path) -> None:
    program, script = CHILD.split()
    async with answering(401, "who are you?") as closed, answering(200, "<html>Hi</html>", "text/html") as page:
        servers = {
            "good": {"command": program, "args": [script]},
            "dead": {"command": program, "args": [script, "dies"]},
            "silent": {"command": program, "args": [script, "silent"]},
            "missing": {"command": "npx-of-nobody"},
            "closed": {"url": closed},
            "page": {"url": page},
            "nobody": {"url": "http://127.0.0.1:9/mcp"},
            "unset": {"command": program, "env": {"X": "${NOT_SET_ANYWHERE}"}},
            "off": {"command": "x", "disabled": True},
        }
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        code, out, err = await cli("mcp", "doctor", "--config", str(tmp_path / "mcp.json"), "--timeout", "8", "--json")
    assert code == 3 and "Traceback" not in err
    reports = {r["name"]: r for r in json.loads(out)}
    assert list(reports) == [name for name in servers if name != "off"]
    assert reports["good"]["is_well"] and not any(r["is_well"] for n, r in reports.items() if n != "good")
    told = {name: f"{r['problem']} // {r['remedy']}" for name, r in reports.items()}
    expected = {
        "dead": ("exit code 3", "cannot open /etc/kimi", "run it by hand"),
        "silent": ("did not answer within 8 s", "speak MCP on its standard streams"),
        "missing": ("no program 'npx-of-nobody'", "whole path"),
        "closed": ("401", "--auth oauth"),
        "page": ("text/html", "web page"),
        "nobody": ("cannot be reached", "does it run"),
        "unset": ("NOT_SET_ANYWHERE",),
    }
    for name, words in expected.items():
        assert all(word in told[name] for word in words), f"{name}: {told[name]}"


@pytest.mark.slow
async def test_ctrl_c_ends_the_servers_that_are_being_tried(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    program, script = CHILD.split()
    kid = {"command": program, "args": [script, "silent"], "env": {"CHILD_PID_FILE": str(marker)}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"kid": kid, "other": kid}}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kimi_agent", "mcp", "doctor", "--config", str(tmp_path / "mcp.json"), env=environment(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    started = await pids(marker, 2)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130 and b"Traceback" not in err, err.decode()
    assert all(is_gone(pid) for pid in started)


@pytest.mark.parametrize(
    ("error", "target", "says"),
    [
        ("there is no program 'npx' on the PATH", Target(None, {}, ("npx", "x")), "Node.js"),
        ("there is no program 'uvx' on the PATH", Target(None, {}, ("uvx", "x")), "pip install uv"),
        ("did not answer within 60 s", Target(None, {}, ("/usr/bin/npx", "x")), "may still fetch it"),
        ("refuses: HTTP 403 Forbidden", Target(None, {"url": "https://x/mcp"}), "has it expired"),
        ("refuses: HTTP 401 Unauthorized", Target(None, {"url": "https://x/mcp", "auth": object()}), "has it expired"),
        ("refuses: HTTP 405 Not Allowed", Target(None, {"url": "https://x/"}), "--transport sse"),
        ("something new", Target(None, {"url": "https://x/"}), ""),
    ],
)
def test_the_remedy_fits_the_failure(error: str, target: Target, says: str) -> None:
    remedy = remedy_for(error, target)
    assert says in remedy and bool(says) == bool(remedy)
