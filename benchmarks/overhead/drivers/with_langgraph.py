"""langgraph's ready-made agent, over langchain-openai."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
import inspect
import warnings

from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

IMPORT = "langgraph.prebuilt, langchain_openai"


def build(base_url, model, tools, stream, max_turns):
    """One graph; its messages are read where answers are streamed."""
    warnings.simplefilter("ignore")
    chat = ChatOpenAI(model=model, base_url=base_url, api_key="x", streaming=stream, stream_usage=stream)
    made = [StructuredTool.from_function(**{"coroutine" if inspect.iscoroutinefunction(f) else "func": f}) for f in tools]
    graph = create_react_agent(chat, made, prompt="You are a bench.")

    async def run(prompt):
        given, config = {"messages": [("user", prompt)]}, {"recursion_limit": 2 * max_turns + 10}
        if not stream:
            return (await graph.ainvoke(given, config))["messages"][-1].content
        pieces = [m.content async for m, _ in graph.astream(given, config, stream_mode="messages") if m.type.startswith("AI")]
        return "".join(pieces)

    return run
