"""Every example in the README and the docs is run: Python as it stands, `kimi-agent` commands as a shell would.

The hosted API of the examples is a loopback endpoint that calls the first tool on offer, once a question, and then says what came
back.
"""

import ast
import asyncio
import inspect
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from aiohttp import web
from loopback import serving, whole
from needs import needs

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANY_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [code for kind, code in BLOCK.findall(text) if kind == language]


def example(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """A value that fits a schema."""
    if "$ref" in schema:
        return example(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {k: example(v, definitions) for k, v in schema.get("properties", {}).items() if k in schema.get("required", [])}
        case "array":
            return [example(schema["items"], definitions)]
        case "integer" | "number":
            return 3
        case "boolean":
            return True
        case _:
            return "Paris"


async def answer(request: web.Request, number: int) -> web.StreamResponse:
    body = await request.json()
    last, tools = body["messages"][-1], body.get("tools")
    message: dict[str, Any] = {"role": "assistant", "content": f"It is {last['content']}"}
    if tools and last["role"] == "user":
        function = tools[0]["function"]
        schema = function["parameters"]
        arguments = json.dumps(example(schema, schema.get("$defs", {})))
        message = {"role": "assistant", "tool_calls": [
            {"id": f"c{number}", "type": "function", "function": {"name": function["name"], "arguments": arguments}}]}  # fmt: skip
    reply = whole() | {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5},
    }
    if not body["stream"]:
        return web.json_response(reply)
    chunk = json.dumps(reply)
    return web.Response(body=f"data: {chunk}\n\ndata: [DONE]\n\n", content_type="text/event-stream")


def serve(started: "queue.Queue[tuple[str, Callable[[], object]]]") -> None:
    """In a thread: examples call `run_sync`, which blocks the test's own loop."""

    async def main() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with serving(answer) as server:
            started.put((server.url, lambda: loop.call_soon_threadsafe(done.set)))
            await done.wait()

    asyncio.run(main())


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    started: queue.Queue[tuple[str, Callable[[], object]]] = queue.Queue()
    thread = threading.Thread(target=serve, args=(started,))
    thread.start()
    url, stop = started.get(timeout=10)
    monkeypatch.setenv("KIMI_BASE_URL", url)
    monkeypatch.setenv("KIMI_API_KEY", "sk-example")
    monkeypatch.setenv("KIMI_MODEL_NAME", "kimi-k2.6")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # the developer's own servers are none of the docs' business
    monkeypatch.chdir(ROOT)
    yield
    stop()
    thread.join(10)


@pytest.mark.parametrize("page", PAGES)
async def test_python_examples_run(page: str, hosted: None, capsys: pytest.CaptureFixture[str]) -> None:
    if any("reference_model" in source for source in blocks(page, "python")):
        needs("torch")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(blocks(page, "python")):
        code: CodeType = compile(source, f"{page}[{number}]", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, namespace)
        if inspect.isawaitable(outcome):
            await outcome


def commands() -> list[str]:
    lines = [line for page in PAGES for source in blocks(page, "sh") for line in source.splitlines()]
    return [line.split("    #")[0] for line in lines if "kimi-agent " in line and not line.startswith("pip ")]


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
async def test_shell_examples_run(command: str, hosted: None) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_shell(
        command,
        env={**os.environ, "PATH": path},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.strip()


def pages_of_the_backend() -> list[str]:
    return [page for page in PAGES if any(map(backend_commands, blocks(page, "sh")))]


def backend_commands(source: str) -> list[str]:
    """Those that need no download and serve nothing, as one person types them one after the other."""
    lines = [line.split("    #")[0].strip() for line in source.splitlines()]
    return [line for line in lines if re.search(r"\bkimi-backend (?!fetch|serve)", line) and not line.startswith("pip ")]


@pytest.mark.slow
@pytest.mark.timeout(240)  # a page has a dozen processes, and some of them import torch
@pytest.mark.parametrize("page", pages_of_the_backend())
def test_shell_examples_of_the_backend_run(page: str, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in (line for source in blocks(page, "sh") for line in backend_commands(source)):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0 and (done.stdout.strip() or "|| true" in command), f"{command}\n{done.stdout}{done.stderr}"


def test_the_two_commands_stand_first() -> None:
    first = blocks("README.md", "sh")[0]
    assert [line.split()[1] for line in first.splitlines()] == ["demo", "test"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = ANY_BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
