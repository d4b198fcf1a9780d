"""The floor over aiohttp and json: what nobody can be much cheaper than."""

import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

from benchmarks.overhead.floor import Call, declaration, loop, merged
from benchmarks.overhead.scenarios import ToolFunction

IMPORT = "aiohttp"


@functools.cache
def session() -> aiohttp.ClientSession:
    """One for all agents; made inside the loop."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def build(
    base_url: str, model: str, tools: Sequence[ToolFunction], stream: bool, max_turns: int
) -> Callable[[str], Awaitable[str]]:
    """The hand-written loop; `max_turns` is not looked at."""
    fixed: dict[str, Any] = {"model": model, "tools": [declaration(f) for f in tools], "stream": stream}
    if stream:
        fixed["stream_options"] = {"include_usage": True}
    headers = {"content-type": "application/json", "authorization": "Bearer x"}

    async def ask(messages: list[Any]) -> tuple[str | None, list[Call]]:
        body = json.dumps({**fixed, "messages": messages}, separators=(",", ":")).encode()
        async with session().post(base_url + "/chat/completions", data=body, headers=headers) as response:
            response.raise_for_status()
            if stream:
                return await merged(response.content.iter_any())
            message = json.loads(await response.read())["choices"][0]["message"]
            made: list[Any] = message.get("tool_calls") or []
            return message["content"], [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in made]

    return functools.partial(loop, ask, tools)
