"""`kimi-agent chat` at a pipe, `models`, `tools` and `run --output`, as processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_process import CALL, SAYS, WEATHER, cli, environment, script
from loopback import delta, error, events, send, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SCHEMA = {
    "title": "report",
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
}


def said(content: str) -> list[dict[str, Any]]:
    return [delta(content=content), delta("stop")]


# ── chat at a pipe ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_lines_of_a_pipe_are_messages_and_only_answers_come_out(tmp_path: Path) -> None:
    async with serving(script(CALL, SAYS, said("Colder. \x1b[2J"))) as seen:
        lines = f"Weather in Paris?\n\n/save {tmp_path}/talk.json\nAnd tomorrow?\n"
        code, out, err = await cli("chat", "--commands", "-t", WEATHER, url=seen.url, stdin=lines, XDG_STATE_HOME=str(tmp_path))
    assert (code, out) == (0, "Overcast, 18 degrees.\nColder. [2J\n")
    assert err == f"saved 4 messages to {tmp_path}/talk.json\n"
    assert [m["role"] for m in seen.bodies[2]["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert os.listdir(tmp_path) == ["talk.json"]  # what a program sends is no history of a person
    async with serving(script(said("Warm."))) as seen:
        code, out, _ = await cli("chat", "--load", f"{tmp_path}/talk.json", url=seen.url, stdin="So?")
    assert (code, out) == (0, "Warm.\n") and len(seen.bodies[0]["messages"]) == 5


async def test_nothing_to_ask_is_said() -> None:
    code, out, err = await cli("chat", url="http://127.0.0.1:9/v1")
    assert (code, out) == (0, "") and "nothing was asked" in err


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [("Hi\n", 3, "bad key"), ("/nonsense\n", 2, "no command /nonsense"), ("Hi\n/retry\n", 0, "/retry tries again")],
)
async def test_what_went_wrong_at_a_pipe_is_told_by_the_exit_code(lines: str, code: int, says: str) -> None:
    async def handle(request: web.Request, number: int) -> web.StreamResponse:
        if number == 0:
            return error(401, "invalid_authentication_error", "bad key sk-secret-123456")
        return await send(request, events(*said("Here.")))

    async with serving(handle) as seen:
        got, _, err = await cli("chat", "--commands", url=seen.url, stdin=lines)
    assert got == code, err
    assert says in err and "sk-secret" not in err and "Traceback" not in err


async def test_calls_that_need_approval_wait_at_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "danger.py").write_text(
        "from kimi_agent import tool\n@tool(needs_approval=True)\ndef get_weather(city: str) -> str:\n    'x'\n    return 'DONE'\n"
    )
    async with serving(script(CALL)) as seen:
        code, out, err = await cli("chat", "-t", f"{tmp_path}/danger.py:get_weather", url=seen.url, stdin="Hi\n")
    assert code == 5 and "waits for an approval" in err and "DONE" not in out


async def test_ctrl_c_at_a_pipe_ends_the_chat() -> None:
    async def handle(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta(reasoning_content="Hm."), *[delta(content="so ") for _ in range(200)]), pause=0.1)

    async with serving(handle) as seen:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kimi_agent", "chat"),
            env=environment(seen.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"Hi\nAnd\n")
        await process.stdout.read(3)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130 and len(seen.bodies) == 1 and "Traceback" not in err.decode()


# ── models and tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SERVED = {
    "data": [
        {"id": "kimi-k2.6", "context_length": 131072},
        {"id": "my-own", "max_model_len": 4096},
        {"id": "evil\x1b[2J", "context_length": "many"},
    ]
}


async def test_models_lists_what_an_endpoint_serves_and_what_is_known_of_it() -> None:
    async with serving(script(), models=SERVED) as seen:
        code, out, err = await cli("models", "--json", url=seen.url)
        assert (code, err) == (0, "")
        listed = json.loads(out)
        assert listed["endpoint"] == seen.url and "KIMI_BASE_URL is set" in listed["default"]
        kimi, own, evil = listed["models"]
        assert (kimi["context"], kimi["thinking"], kimi["images"], kimi["ids"], kimi["price"]) == (131072, "on", True, "kimi", None)
        assert (own["context"], own["thinking"], own["images"]) == (4096, "unknown", None)
        assert evil["context"] is None
        specs = (f"vllm:{seen.url}", f"sglang:{seen.url.removesuffix('/v1')}")
        for spec in (*specs, *(f"{kind}:{seen.url}#my-own" for kind in ("openai", "anthropic"))):
            code, out, err = await cli("models", "-m", spec)
            assert (code, err) == (0, "") and "my-own" in out and "4,096" in out and "\x1b" not in out
        code, out, _ = await cli("models", "-m", "local", KIMI_LOCAL_BASE_URL=seen.url)
        assert code == 0 and "my-own" in out


async def test_an_endpoint_that_lists_nothing_is_no_failure_where_a_model_is_named() -> None:
    async with serving(script()) as seen:
        code, out, err = await cli("models", url=seen.url)
        assert code == 0 and "lists no models (404)" in err and "kimi-k2.6" in out
        code, _, err = await cli("models", "-m", f"vllm:{seen.url}")
        assert code == 3 and "404" in err


async def test_models_without_a_key_lists_families_tiers_and_how_to_name_them() -> None:
    code, out, err = await cli("models", COLUMNS="80")
    assert (code, err) == (0, "")
    line = next(x for x in out.splitlines() if x.startswith("kimi-k2.6"))
    assert line.split() == ["kimi-k2.6", "262,144", "on", "yes", "kimi", "0.95,", "0.16,", "4.00"]
    assert "embedded, default" in out and "vllm:URL#model" in out and "default  embedded: no model is named" in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["-m", "kimi-k2.6"], 2, "MOONSHOT_API_KEY"),
        (["-m", "vllm"], 2, "needs an address"),
        (["-m", "openai:http://127.0.0.1:9/v1#x"], 3, "Is it running"),
    ],
)
async def test_models_says_what_is_wrong(arguments: list[str], code: int, says: str) -> None:
    got, _, err = await cli("models", *arguments)
    assert got == code and says in err and "Traceback" not in err


async def test_tools_shows_the_schema_that_the_model_gets(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from kimi_agent import FunctionToolset, tool\n"
        "@tool(timeout=5, needs_approval=lambda ctx, args: True)\n"
        "def sell(item: str, count: int = 1) -> str:\n    'Sells \\x1b[2J.'\n    return item\n"
        "def helper() -> None: ...\n"
        "group = FunctionToolset([sell]).prefixed('shop_')\n"
    )
    (tmp_path / "plain.py").write_text("def one(a: int) -> int:\n    'One.'\n    return a\ndef _hidden(): ...\nclass Thing: ...\n")
    code, out, err = await cli("tools", f"{tmp_path}/shop.py", f"{tmp_path}/plain.py", "--json")
    assert (code, err) == (0, "")
    entries = {e["function"]["name"]: e for e in json.loads(out)}
    assert set(entries) == {"sell", "shop_sell", "one"}
    assert entries["sell"]["rules"] == {"timeout": 5, "needs_approval": "<lambda>"}
    assert entries["one"]["function"]["parameters"]["required"] == ["a"]
    code, out, _ = await cli("tools", f"{tmp_path}/shop.py:sell")
    assert code == 0 and "timeout = 5" in out and '"count"' in out and "\x1b" not in out
    async with serving(script(said("ok"))) as seen:
        await cli("run", "-t", f"{tmp_path}/shop.py:sell", "x", url=seen.url)
    assert seen.bodies[0]["tools"][0]["function"] == entries["sell"]["function"]


async def test_tools_explains_what_cannot_become_one_and_shows_the_rest(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "import threading\ndef bad(lock: threading.Lock) -> str:\n    'x'\n    return ''\ndef good(a: int) -> int:\n    return a\n"
    )
    (tmp_path / "none.py").write_text("x = 1\n")
    code, out, err = await cli(
        "tools", f"{tmp_path}/odd.py:bad", f"{tmp_path}/odd.py:good", f"{tmp_path}/none.py", "no.such.module"
    )
    assert code == 2
    assert "odd.py:bad cannot become a tool" in err and "lock" in err
    assert "has no tools" in err and "cannot be imported" in err
    assert out.startswith("good")


# ── run --output ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gives(arguments: Any) -> Any:
    """Answers by the call that the request offers."""

    async def handle(request: web.Request, number: int) -> web.StreamResponse:
        offered = (await request.json())["tools"][-1]["function"]["name"]
        call = {"index": 0, "id": f"c{number}", "function": {"name": offered, "arguments": json.dumps(arguments)}}
        return await send(request, events(delta(tool_calls=[call]), delta("tool_calls")))

    return handle


async def test_output_prints_a_value_that_fits_the_schema_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    async with serving(gives({"city": "Zürich", "celsius": 18})) as seen:
        code, out, err = await cli("run", "--output", "schema.json", "Weather?", url=seen.url, cwd=tmp_path)
    assert (code, out) == (0, '{"city":"Zürich","celsius":18}\n'), err
    (tmp_path / "shapes.py").write_text(
        "from datetime import date\nfrom pydantic import BaseModel\nclass Day(BaseModel):\n    day: date\n"
    )
    async with serving(gives({"day": "2026-01-02"})) as seen:
        code, out, err = await cli("run", "-o", "shapes.py:Day", "When?", url=seen.url, cwd=tmp_path)
    assert (code, out) == (0, '{"day":"2026-01-02"}\n'), err


async def test_an_answer_that_never_fits_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    async with serving(gives({"city": 5})) as seen:
        code, out, err = await cli("run", "--output", "schema.json", "Weather?", url=seen.url, cwd=tmp_path)
    assert (code, out) == (6, ""), err


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("none.json", "none.json cannot be read"),
        ("bad.json", "is no JSON"),
        ("list.json", "as a dict"),
        ("word", "module:Type"),
        ("json:nope", "--output 'json:nope': json has no 'nope'"),
    ],
)
async def test_a_schema_that_is_none_is_refused(tmp_path: Path, spec: str, says: str) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    code, _, err = await cli("run", "--output", spec, "x", cwd=tmp_path)
    assert code == 2 and says in err and "Traceback" not in err
