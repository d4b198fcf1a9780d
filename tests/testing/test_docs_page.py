"""docs/testing.md: its table of faults is the code's own, and its pytest example runs under pytest."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from aiohttp import web
from inner import ran_apart
from loopback import delta, events, send, serving

from kimi_agent.testing import FAULTS

pytest_plugins = "pytester"
pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_table_of_faults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row in rows if row[0] in FAULTS] == [(name, kind.words) for name, kind in FAULTS.items()]


@pytest.mark.slow
async def test_the_pytest_example(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    example = next(b for b in blocks if "chaos_model" in b)
    needed = [
        b
        for b in blocks[: blocks.index(example)]
        if "\ndef test_it_looks" in b or "\ndef answer" in b or b.startswith("def answer")
    ]
    used = "\n".join([*needed, "from kimi_agent.testing import ChaosModel", example])
    pytester.makepyfile(test_shop=used)

    async def handler(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta(content="There are 41."), delta("stop")))

    async with serving(handler) as server:
        monkeypatch.setenv("KIMI_BASE_URL", server.url)
        await asyncio.to_thread(ran_apart, pytester, "--kimi-agent-record", passed=4)
        assert len(server.bodies) == 1
    monkeypatch.delenv("KIMI_BASE_URL")
    await asyncio.to_thread(ran_apart, pytester, "--kimi-agent-real-requests=forbid", passed=4)
    assert os.listdir(pytester.path / "cassettes" / "test_shop") == ["test_with_a_cassette.jsonl"]
