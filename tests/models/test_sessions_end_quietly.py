"""Connections are closed with their loop, and nobody hears of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from loopback import delta, events, send, serving

pytestmark = pytest.mark.anyio

SCRIPT = """
import asyncio, sys, threading
from kimi_agent.models.endpoint import ChatEndpoint
from kimi_agent.models.base import ModelRequest
from kimi_agent.messages import UserMessage

endpoint = ChatEndpoint("m", base_url=sys.argv[1])

async def ask():
    parts = [p async for p in endpoint.stream(ModelRequest(messages=(UserMessage("Hi"),)))]
    assert len(parts) > 1

async def leave():
    async for part in endpoint.stream(ModelRequest(messages=(UserMessage("Hi"),))):
        break

{way}
print("done")
"""
WAYS = {
    "two loops": "asyncio.run(ask()); asyncio.run(ask())",
    "left half-way": "asyncio.run(leave())",
    "a loop closed by hand": """
for _ in range(3):
    loop = asyncio.new_event_loop(); loop.run_until_complete(ask()); loop.close()
""",
    "a loop never closed": """
loop = asyncio.new_event_loop(); loop.run_until_complete(ask())
""",
    "a loop in a daemon thread": """
loop = asyncio.new_event_loop(); threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(ask(), loop).result()
""",
}


@pytest.mark.parametrize("way", WAYS)
async def test_no_noise_at_the_end(way: str) -> None:
    import asyncio

    async def hello(request: web.Request, number: int) -> web.StreamResponse:
        return await send(request, events(delta(content="Hel"), delta("stop", content="lo.")))

    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), root])}
    async with serving(hello) as server:
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT.replace("{way}", WAYS[way]), server.url],
            capture_output=True, text=True, timeout=30, env=environment,
        )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("done\n", "")
