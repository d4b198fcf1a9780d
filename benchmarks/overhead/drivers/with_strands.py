"""strands, over its OpenAI model. An agent of it holds one conversation, so one is made a run; it always streams."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
from openai import AsyncOpenAI
from strands import Agent, tool
from strands.models.openai import OpenAIModel

IMPORT = "strands, strands.models.openai"


def build(base_url, model, tools, stream, max_turns):
    """One model, and so one client, for all runs."""
    chat = OpenAIModel(client=AsyncOpenAI(base_url=base_url, api_key="x"), model_id=model)
    made = [tool(f) for f in tools]

    async def run(prompt):
        agent = Agent(model=chat, tools=made, system_prompt="You are a bench.", callback_handler=None)
        return str(await agent.invoke_async(prompt))

    return run
