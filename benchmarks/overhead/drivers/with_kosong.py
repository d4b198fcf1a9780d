"""kosong, the library under Moonshot's own CLI: it gives one step, the loop is the caller's. Needs Python 3.12."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
import inspect

import kosong
from kosong.chat_provider.kimi import Kimi
from kosong.message import Message
from kosong.tooling import CallableTool, ToolOk, ToolReturnValue
from kosong.tooling.simple import SimpleToolset

from benchmarks.overhead.floor import declaration

IMPORT = "kosong, kosong.chat_provider.kimi, kosong.tooling.simple"


def build(base_url, model, tools, stream, max_turns):
    """One provider, and so one client, for all runs."""
    chat, toolset = Kimi(base_url=base_url, api_key="x", model=model, stream=stream), SimpleToolset()
    for f in tools:
        toolset += _tool(f)

    async def run(prompt):
        history = [Message(role="user", content=prompt)]
        while True:
            step = await kosong.step(chat, "You are a bench.", toolset, history)
            results = await step.tool_results()
            history.append(step.message)
            history += [Message(role="tool", tool_call_id=r.tool_call_id, content=r.return_value.output) for r in results]
            if not step.tool_calls:
                return step.message.extract_text()

    return run


def _tool(function):
    declared = declaration(function)["function"]

    class Made(CallableTool):
        name: str = declared["name"]
        description: str = declared["description"]
        parameters: dict = declared["parameters"]

        async def __call__(self, **arguments) -> ToolReturnValue:
            blocking = not inspect.iscoroutinefunction(function)  # its tools are async only
            return ToolOk(output=await (asyncio.to_thread(function, **arguments) if blocking else function(**arguments)))

    return Made()
