"""The official Inspector, without its browser, as a client of our servers: a client that others wrote, in another language."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peers import Peers, needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # each question starts node; the Inspector's own patience is set below

TOKEN = "a-token-for-the-inspector"
KIMI_AGENT = str(Path(sys.executable).with_name("kimi-agent"))

TOOLS = '''
from pydantic import BaseModel


class Stock(BaseModel):
    item: str
    count: int


def get_stock(item: str, boxes: int = 1) -> Stock:
    """How much of an item there is.

    Args:
        item: What to look for.
    """
    print("this must not reach the client")
    if item == "ghost":
        raise LookupError("there are no ghosts")
    return Stock(item=item, count=41 * boxes)
'''

SERVICE = '''
import asyncio

from kimi_agent import MCPService
from kimi_agent.mcp import Resource
from shop import get_stock


def review(language: str) -> str:
    """Reviews code."""
    return f"Review this {language} code."


service = MCPService(get_stock, name="shop", resources=[Resource("note://greeting", "Hello")], prompts=[review])
asyncio.run(service.http(port=0, token="TOKEN", ready=lambda url: print(url, flush=True)))
'''


@dataclass(frozen=True, slots=True)
class Inspector:
    """Asks a server, and gives the exit code and what was printed: JSON on stdout, an error on stderr."""

    command: tuple[str, ...]
    target: tuple[str, ...]
    environment: dict[str, str]

    def ask(self, method: str, *options: str) -> tuple[int, Any, str]:
        words = [*self.command, *self.target, "--connect-timeout", "90000", "--method", method, *options]
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment, timeout=170)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr

    def good(self, method: str, *options: str) -> Any:
        code, answer, problem = self.ask(method, *options)
        assert code == 0, problem
        return answer


@pytest.fixture(scope="module")
def peers() -> Peers:
    return needed()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(TOOLS)
    (folder / "service.py").write_text(SERVICE.replace("TOKEN", TOKEN))
    return folder


def environment(home: Path) -> dict[str, str]:
    """A home of its own: the Inspector keeps a catalogue there."""
    return os.environ | {"HOME": str(home)}


@pytest.fixture(scope="module")
def stdio(peers: Peers, shop: Path) -> Inspector:
    target = (KIMI_AGENT, "mcp", "serve", f"{shop / 'shop.py'}:get_stock")
    return Inspector(peers.inspector(), target, environment(shop))


@pytest.fixture(scope="module")
def url(shop: Path) -> Iterator[str]:
    command = [sys.executable, str(shop / "service.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()
        server.communicate()


@pytest.fixture(scope="module")
def http(peers: Peers, url: str, shop: Path) -> Inspector:
    target = (url, "--transport", "http", "--header", f"Authorization: Bearer {TOKEN}")
    return Inspector(peers.inspector(), target, environment(shop))


def test_stdio_tools_are_listed_with_their_schemas(stdio: Inspector) -> None:
    (listed,) = stdio.good("tools/list")["tools"]
    assert listed["name"] == "get_stock"
    assert listed["description"] == "How much of an item there is."
    assert listed["inputSchema"]["properties"]["item"] == {"type": "string", "description": "What to look for."}
    assert listed["inputSchema"]["required"] == ["item"]
    assert listed["outputSchema"]["properties"]["count"]["type"] == "integer"


def test_stdio_a_call_is_answered_although_the_tool_prints(stdio: Inspector) -> None:
    answer = stdio.good("tools/call", "--tool-name", "get_stock", "--tool-arg", "item=lamp", "boxes=2")
    assert answer["structuredContent"] == {"item": "lamp", "count": 82}
    assert json.loads(answer["content"][0]["text"]) == {"item": "lamp", "count": 82}


def test_http_calls_and_failures(http: Inspector) -> None:
    answer = http.good("tools/call", "--tool-name", "get_stock", "--tool-arg", "item=lamp")
    assert answer["structuredContent"] == {"item": "lamp", "count": 41}
    code, answer, problem = http.ask("tools/call", "--tool-name", "get_stock", "--tool-arg", "item=ghost")
    assert code != 0 and "isError" in problem
    assert answer["isError"] and "there are no ghosts" in answer["content"][0]["text"]


def test_http_resources(http: Inspector) -> None:
    assert [resource["uri"] for resource in http.good("resources/list")["resources"]] == ["note://greeting"]
    assert http.good("resources/read", "--uri", "note://greeting")["contents"][0]["text"] == "Hello"


def test_http_prompts(http: Inspector) -> None:
    (prompt,) = http.good("prompts/list")["prompts"]
    assert (prompt["name"], prompt["arguments"][0]["name"]) == ("review", "language")
    answer = http.good("prompts/get", "--prompt-name", "review", "--prompt-args", "language=python")
    assert answer["messages"][0]["content"]["text"] == "Review this python code."


def test_http_needs_the_token(peers: Peers, url: str, shop: Path) -> None:
    stranger = Inspector(peers.inspector(), (url, "--transport", "http"), environment(shop))
    code, answer, problem = stranger.ask("tools/list")
    assert code != 0 and answer is None
    assert re.search(r"401|[Uu]nauthorized|auth", problem) and TOKEN not in problem
