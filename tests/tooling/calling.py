"""What a model sees of tools: one scripted turn that makes calls, and the messages that answer them."""

from typing import Any

from kimi_agent import Agent, ScriptedCall, ScriptedModel, Tool, ToolMessage, ToolSpec, call


async def answers(tools: Any, *calls: ScriptedCall, deps: Any = None, **options: Any) -> list[ToolMessage]:
    """The results of the calls, made in one turn."""
    model = ScriptedModel([list(calls), "done"])
    result = await Agent(model, tools=tools, **options).run("go", deps=deps)
    model.assert_complete()
    assert result.stop_reason == "completed"
    return [m for m in result.messages if isinstance(m, ToolMessage)]


async def answer(one: Any, /, *, deps: Any = None, **arguments: Any) -> str:
    """The text that answers one call of one tool; an error is marked, so that no test takes it for a result."""
    name = one.name if isinstance(one, Tool) else one.__name__
    message = (await answers([one], call(name, **arguments), deps=deps))[0]
    return f"ERROR {message.text}" if message.is_error else message.text


async def offered(tools: Any, **options: Any) -> dict[str, ToolSpec]:
    """What the model is told of the tools, by name."""
    model = ScriptedModel(["done"])
    await Agent(model, tools=tools, **options).run("go")
    return {spec.name: spec for spec in model.requests[0].tools}
