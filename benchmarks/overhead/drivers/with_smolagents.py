"""smolagents: no async interface, so each run has a thread; its loop ends by a call of `final_answer`."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor

from smolagents import OpenAIModel, Tool, ToolCallingAgent

from benchmarks.overhead.floor import declaration

IMPORT = "smolagents"
FINAL_TOOL = "final_answer"
_threads = ThreadPoolExecutor(256)


def build(base_url, model, tools, stream, max_turns):
    """An agent of it holds one conversation, so one is made a run."""
    chat, made = OpenAIModel(model, api_base=base_url, api_key="x"), [_tool(f) for f in tools]

    def work(prompt):
        agent = ToolCallingAgent(tools=made, model=chat, max_steps=max_turns, verbosity_level=-1, stream_outputs=stream)
        return agent.run(prompt)

    async def run(prompt):
        return await asyncio.get_running_loop().run_in_executor(_threads, work, prompt)

    return run


def _tool(function):
    declared = declaration(function)["function"]

    class Made(Tool):
        name, description, output_type = declared["name"], declared["description"], "string"
        inputs = {n: {**p, "description": n} for n, p in declared["parameters"]["properties"].items()}  # noqa: RUF012
        skip_forward_signature_validation = True

        def forward(self, **arguments):
            return asyncio.run(function(**arguments)) if inspect.iscoroutinefunction(function) else function(**arguments)

    return Made()
