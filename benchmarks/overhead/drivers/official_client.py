"""The same loop by hand over the official `openai` client, which most libraries are built on."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from openai import AsyncOpenAI

from benchmarks.overhead.floor import Call, declaration, loop
from benchmarks.overhead.scenarios import ToolFunction

IMPORT = "openai"


@functools.cache
def client(base_url: str) -> AsyncOpenAI:
    """One for all agents."""
    return AsyncOpenAI(base_url=base_url, api_key="x")


def build(
    base_url: str, model: str, tools: Sequence[ToolFunction], stream: bool, max_turns: int
) -> Callable[[str], Awaitable[str]]:
    """The hand-written loop; `max_turns` is not looked at."""
    declared: Any = [declaration(f) for f in tools]
    completions: Any = client(base_url).chat.completions

    async def ask(messages: list[Any]) -> tuple[str | None, list[Call]]:
        answer: Any = await completions.create(model=model, messages=messages, tools=declared)
        message = answer.choices[0].message
        made: list[Any] = message.tool_calls or []
        return message.content, [(c.id, c.function.name, c.function.arguments) for c in made]

    async def ask_streamed(messages: list[Any]) -> tuple[str | None, list[Call]]:
        text, calls = "", dict[int, tuple[str, str, list[str]]]()
        usage: Any = {"include_usage": True}
        chunks: Any = await completions.create(model=model, messages=messages, tools=declared, stream=True, stream_options=usage)
        async for chunk in chunks:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                made: list[Any] = choice.delta.tool_calls or []
                for c in made:
                    if c.id:
                        calls[c.index] = (c.id, c.function.name, [])
                    calls[c.index][2].append(c.function.arguments or "")
        return text, [(i, n, "".join(fragments)) for i, n, fragments in calls.values()]

    return functools.partial(loop, ask_streamed if stream else ask, tools)
