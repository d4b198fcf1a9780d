"""The floor: the loop that one writes by hand. No validation, no events, no journal, no limits, no error handling."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Any

from benchmarks.overhead.scenarios import ToolFunction

Call = tuple[str, str, str]  # id, name, arguments
Ask = Callable[[list[Any]], Awaitable[tuple[str | None, list[Call]]]]
_TYPES: dict[Any, str] = {int: "integer", str: "string"}


def declaration(function: ToolFunction) -> dict[str, Any]:
    """The tool, as OpenAI's API takes it."""
    properties = {n: {"type": _TYPES[p.annotation]} for n, p in inspect.signature(function).parameters.items()}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": function.__name__, "description": function.__doc__, "parameters": parameters},
    }


async def loop(ask: Ask, tools: Sequence[ToolFunction], prompt: str) -> str:
    """Asks until there are no more calls; returns the text."""
    by_name = {f.__name__: f for f in tools}
    messages: list[Any] = [{"role": "system", "content": "You are a bench."}, {"role": "user", "content": prompt}]
    while True:
        text, calls = await ask(messages)
        if not calls:
            return text or ""
        made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
        messages.append({"role": "assistant", "content": text, "tool_calls": made})
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_run(by_name[n], json.loads(a))) for _, n, a in calls]
        messages += [{"role": "tool", "tool_call_id": c[0], "content": t.result()} for c, t in zip(calls, tasks, strict=True)]


async def _run(function: ToolFunction, arguments: dict[str, Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    return await asyncio.to_thread(function, **arguments)


async def merged(pieces: AsyncIterable[bytes]) -> tuple[str, list[Call]]:
    """The text and the calls of a stream of server-sent events."""
    text, calls, rest = "", dict[int, tuple[str, str, list[str]]](), b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: {"):
                continue
            chunk: Any = json.loads(line[6:])
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                made: list[Any] = choice["delta"].get("tool_calls") or []
                for call in made:
                    if call.get("id"):
                        calls[call["index"]] = (call["id"], call["function"]["name"], [])
                    calls[call["index"]][2].append(call["function"].get("arguments") or "")
    return text, [(i, n, "".join(fragments)) for i, n, fragments in calls.values()]
