"""This library as a driver of an overhead benchmark, here (`benchmarks/overhead`) or elsewhere: it needs no other file."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kimi_agent import Agent, ChatEndpoint, Limits, ModelSettings, RunEnd

IMPORT = "kimi_agent"
Run = Callable[[str], Awaitable[str]]


def build(base_url: str, model: str, tools: Sequence[Callable[..., Any]], stream: bool, max_turns: int) -> Run:
    """An agent over the endpoint whose runs are watched: each event is read, as a user interface does."""
    agent = agent_of(base_url, model, tools, stream, max_turns)

    async def run(prompt: str) -> str:
        output = ""
        async with agent.stream(prompt) as events:
            async for event in events:
                if isinstance(event, RunEnd):
                    output = event.output
        return output

    return run


def build_unwatched(base_url: str, model: str, tools: Sequence[Callable[..., Any]], stream: bool, max_turns: int) -> Run:
    """The same agent by `agent.run`, where nobody listens."""
    agent = agent_of(base_url, model, tools, stream, max_turns)

    async def run(prompt: str) -> str:
        return (await agent.run(prompt)).output

    return run


def agent_of(base_url: str, model: str, tools: Sequence[Callable[..., Any]], stream: bool, max_turns: int) -> Agent:
    """Answers come streamed or whole; validation and the journal are as everyone has them."""
    return Agent(
        ChatEndpoint(model, base_url=base_url, api_key="x"),
        tools=tools,
        instructions="You are a bench.",
        settings=ModelSettings(stream=stream),
        limits=Limits(turns=max_turns),
    )
