"""pydantic-ai, over its OpenAI chat model."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

IMPORT = "pydantic_ai, pydantic_ai.models.openai"


def build(base_url, model, tools, stream, max_turns):
    """One agent; its events are read where answers are streamed."""
    chat = OpenAIChatModel(model, provider=OpenAIProvider(base_url=base_url, api_key="x"))
    agent = Agent(chat, instructions="You are a bench.", tools=tools)

    async def read(context, events):
        async for _ in events:
            pass

    async def run(prompt):
        limits = UsageLimits(request_limit=None)
        return (await agent.run(prompt, usage_limits=limits, event_stream_handler=read if stream else None)).output

    return run
