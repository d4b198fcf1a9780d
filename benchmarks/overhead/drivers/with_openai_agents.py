"""openai-agents, over its chat completions model."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

IMPORT = "agents"


def build(base_url, model, tools, stream, max_turns):
    """One agent; its events are read where answers are streamed."""
    set_tracing_disabled(True)
    chat = OpenAIChatCompletionsModel(model=model, openai_client=AsyncOpenAI(base_url=base_url, api_key="x"))
    agent = Agent(name="bench", instructions="You are a bench.", model=chat, tools=[function_tool(f) for f in tools])

    async def run(prompt):
        if not stream:
            return (await Runner.run(agent, prompt, max_turns=max_turns)).final_output
        watched = Runner.run_streamed(agent, prompt, max_turns=max_turns)
        async for _ in watched.stream_events():
            pass
        return watched.final_output

    return run
