"""This library as a driver of a peer overhead benchmark: `build` gives an async function from a prompt to the final text."""

from collections.abc import Awaitable, Callable
from typing import Any

from kimi_agent import Agent, ChatEndpoint, Limits, ModelSettings

IMPORT = "kimi_agent"


def build(
    base_url: str, model: str, tools: list[Callable[..., Any]], stream: bool, max_turns: int
) -> Callable[[str], Awaitable[str]]:
    """An agent over the endpoint; its `run` reads the answer streamed or whole."""
    agent = Agent(
        ChatEndpoint(model, base_url=base_url, api_key="x"),
        tools=tools,
        instructions="You are a bench.",
        settings=ModelSettings(stream=stream),
        limits=Limits(turns=max_turns),
    )

    async def run(prompt: str) -> str:
        return (await agent.run(prompt)).output

    return run
