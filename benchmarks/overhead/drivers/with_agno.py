"""agno, over its model for OpenAI-like endpoints. An agent of it holds one conversation, so one is made a run."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
from agno.agent import Agent
from agno.models.openai.like import OpenAILike

IMPORT = "agno.agent, agno.models.openai.like"


def build(base_url, model, tools, stream, max_turns):
    """One model, and so one client, for all runs."""
    chat = OpenAILike(id=model, base_url=base_url, api_key="x")

    async def run(prompt):
        agent = Agent(model=chat, tools=tools, instructions="You are a bench.", telemetry=False)
        if not stream:
            return (await agent.arun(prompt)).content
        pieces = [getattr(event, "content", None) or "" async for event in agent.arun(prompt, stream=True)]
        return "".join(pieces)

    return run
