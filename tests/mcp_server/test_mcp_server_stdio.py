"""stdio with real child processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import mcp
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_server_clients import MODES, Heard, accept, answering, connected, text_of

from kimi_agent import MCPServer
from kimi_agent.mcp.server.service import MCPService

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]

PROGRAM = """
import asyncio, logging, os, subprocess, sys
from typing import Literal
from pydantic import BaseModel
from kimi_agent import RunContext, tool
from kimi_agent.mcp.server.caller import caller
from kimi_agent.mcp.server.program import serve_mcp

logging.basicConfig(stream=sys.stderr)

class Reading(BaseModel):
    celsius: float

def echo(text: str) -> str:
    return text

def noisy() -> str:
    print("printed by a tool")
    sys.stdout.write("written by a tool\\n")
    os.write(1, b"to the descriptor\\n")
    subprocess.run([sys.executable, "-c", "print('by a child'); import sys; print(repr(sys.stdin.read()))"], check=True)
    return "quiet"

def reads_input() -> str:
    return repr(sys.stdin.read(1))

@tool
async def ask(ctx: RunContext) -> str:
    return str(await caller(ctx).elicit("Name?", {"type": "object", "properties": {"name": {"type": "string"}}}))

async def measure(ctx: RunContext, city: Literal["Rome", "Oslo"]) -> Reading:
    ctx.report("looking", 1, 2)
    return Reading(celsius=21.5)

async def slow(ctx: RunContext) -> str:
    print("slow began", file=sys.stderr, flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("slow ended", file=sys.stderr, flush=True)
    return ""

async def talks(ctx: RunContext) -> str:
    print("talks began", file=sys.stderr, flush=True)
    try:
        for n in range(100_000):
            ctx.report("x" * 1000, n)
            await asyncio.sleep(0)
    finally:
        print("talks ended", file=sys.stderr, flush=True)
    return ""

def exits() -> str:
    sys.exit(3)

HINTS = {"measure": {"readOnlyHint": True, "title": "Measure"}}

if __name__ == "__main__":
    serve_mcp(echo, noisy, reads_input, ask, slow, talks, exits, measure, annotations=HINTS, name="child")
    print("served", file=sys.stderr, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "server.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return str(path)


def child(program: str, log: Any, mode: str = "auto", **callbacks: Any) -> mcp.Client:
    return mcp.Client(
        stdio_client(StdioServerParameters(command=sys.executable, args=[program]), errlog=log), mode=mode, **callbacks
    )


@pytest.mark.parametrize("mode", MODES)
async def test_what_tools_print_does_not_touch_the_protocol(mode: str, program: str, tmp_path: Path) -> None:
    errors = tmp_path / "stderr"
    with errors.open("w") as log:
        async with child(program, log, mode, elicitation_callback=answering(accept(name="Li"))) as client:
            assert text_of(await client.call_tool("noisy")) == "quiet"
            assert text_of(await client.call_tool("reads_input")) == "''"
            assert text_of(await client.call_tool("echo", {"text": "line\nbreak \u2028 é"})) == "line\nbreak \u2028 é"
            assert text_of(await client.call_tool("ask")) == "{'name': 'Li'}"
            assert "3" in text_of(await client.call_tool("exits"))
            assert text_of(await client.call_tool("echo", {"text": "x" * 300_000})).startswith("xxx")
    said = errors.read_text()
    for words in ("printed by a tool", "written by a tool", "to the descriptor", "by a child"):
        assert words in said
    assert said.rstrip().endswith("served")


@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_of_another_server_are_passed_on(mode: str, program: str) -> None:
    heard = Heard()
    async with (
        MCPServer(sys.executable, program, name="inner", elicit=fill_in) as inner,
        connected(MCPService(inner, book), mode, logging_callback=heard.on_log) as client,
    ):
        listed = {t.name: t for t in (await client.list_tools()).tools}
        assert listed["measure"].annotations.read_only_hint and listed["measure"].title == "Measure"
        assert listed["measure"].output_schema["properties"]["celsius"]["type"] == "number"
        result = await client.call_tool("measure", {"city": "Rome"}, progress_callback=heard.on_progress)
        assert result.structured_content == {"celsius": 21.5} and text_of(result) == '{"celsius": 21.5}'
        assert heard.progress == [(1, 2, "looking")]
        assert "city: 3.5 is not one of" in text_of(await client.call_tool("measure", {"city": 3.5}))
        assert text_of(await client.call_tool("ask")) == "{'name': 'inner user'}"
        assert text_of(await client.call_tool("book")) == "booked"


async def fill_in(elicitation: Any) -> dict[str, Any]:
    return {"name": "inner user"}


def book() -> str:
    return "booked"


def spoken(program: str, *messages: dict[str, Any]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    for message in messages:
        process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    return process


def hello() -> list[dict[str, Any]]:
    info = {"name": "raw", "version": "1"}
    return [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info},
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


SLOW = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "slow"}}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cancels_what_runs(how: signal.Signals, program: str) -> None:
    process = spoken(program, *hello(), SLOW)
    assert process.stderr is not None
    while b"slow began" not in process.stderr.readline():
        pass
    process.send_signal(how)  # its input stays open, and nothing comes of it
    rest = process.stderr.read().decode()
    assert process.wait(10) == 0 and "slow ended" in rest and "served" in rest and "Traceback" not in rest
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


TALKS = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "talks", "_meta": {"progressToken": 1}}}


def test_a_client_that_reads_nothing_does_not_keep_it_from_ending(program: str) -> None:
    process = spoken(program, *hello(), TALKS)
    assert process.stderr is not None and process.stdout is not None and process.stdin is not None
    while b"talks began" not in process.stderr.readline():
        pass
    time.sleep(0.5)  # its output is full by now
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert b"talks ended" in process.stderr.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def test_a_client_that_dies_ends_it(program: str) -> None:
    process = spoken(program, *hello(), TALKS)
    assert process.stderr is not None and process.stdout is not None and process.stdin is not None
    while b"talks began" not in process.stderr.readline():
        pass
    process.stdout.close()
    process.stdin.close()
    rest = process.stderr.read()
    assert process.wait(10) == 0 and b"talks ended" in rest and b"Traceback" not in rest
    process.stderr.close()


def test_the_end_of_the_input_ends_it(program: str) -> None:
    process = spoken(program, *hello(), SLOW)
    assert process.stderr is not None
    while b"slow began" not in process.stderr.readline():
        pass
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and b"slow ended" in errors and b"Traceback" not in errors
    assert json.loads(out.splitlines()[0])["result"]["protocolVersion"] == "2025-06-18"


def test_garbage_on_the_input_is_no_end(program: str) -> None:
    process = spoken(program)
    assert process.stdin is not None
    process.stdin.write(b"garbage\n\xff\xfe\n{}\n[1]\n\n")
    for message in [
        *hello(),
        {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "alive"}}},
    ]:
        process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    assert process.stdout is not None
    lines = []
    while not any(message.get("id") == 9 for message in lines):
        lines.append(json.loads(process.stdout.readline()))
    process.communicate(timeout=20)
    assert process.returncode == 0 and lines[-1]["result"]["content"][0]["text"] == "alive"


HTTP = """
import sys
from kimi_agent.mcp.server.program import serve_mcp

def echo(text: str) -> str:
    return text

serve_mcp(echo, transport="http", port=0, ready=lambda url: print(url, flush=True))
print("served", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_an_http_program_ends_cleanly_while_clients_listen(how: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "http_server.py"
    path.write_text(HTTP)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with mcp.Client(url, mode="legacy") as client, mcp.Client(url) as modern, modern.listen(tools_list_changed=True):
        assert text_of(await client.call_tool("echo", {"text": "hi"})) == "hi"
        os.kill(process.pid, how)
        async with asyncio.timeout(20):
            out, errors = await process.communicate()
    assert process.returncode == 0 and out.decode().strip() == "served" and b"Traceback" not in errors
