"""What the model is asked next: instructions, history, the tools on offer, settings."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kimi_agent.messages import SystemMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.run import AnyTool, Run
from kimi_agent.tooling.toolset import collect


async def offered_tools(run: Run) -> dict[str, AnyTool]:
    """The tools of this turn by name, after `prepare_tools`. Raises ToolDefinitionError if two have one name."""
    context = run.context()
    tools = await collect(run.plan.toolsets, context)
    if run.plan.prepare_tools is None:
        return tools
    kept = run.plan.prepare_tools(context, list(tools.values()))
    if inspect.isawaitable(kept):
        kept = await kept
    return {t.name: t for t in kept}


async def request_for(run: Run, tools: dict[str, AnyTool]) -> ModelRequest:
    """The next request, as the hooks leave it."""
    instructions = "\n\n".join([text for part in run.plan.instructions if (text := await _said(part, run))])
    history = run.conversation.history
    settings = run.plan.settings
    if run.turn > 0 and settings.tool_choice not in (None, "auto", "none"):
        settings = replace(settings, tool_choice="auto")  # a forced call in every turn would never end
    request = ModelRequest(
        messages=(SystemMessage(instructions), *history) if instructions else history,
        tools=tuple(t.spec for t in tools.values()),
        settings=settings,
        known_tokens=run.known_tokens,
        known_messages=run.known_messages,
        conversation_id=run.run_id,
    )
    for hook in run.plan.hooks:
        request = await hook.before_model(run.context(), request)
    return request


async def _said(instruction: str | Callable[..., Any], run: Run) -> str:
    """Instructions are text, or a function of the context, or of nothing, sync or async, asked before each request."""
    if isinstance(instruction, str):
        return instruction
    text = instruction(run.context()) if inspect.signature(instruction).parameters else instruction()
    return await text if inspect.isawaitable(text) else text
