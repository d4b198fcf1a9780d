"""What the model is asked next: instructions, history, the tools on offer, settings."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.messages import SystemMessage
from kimi_agent.models.base import ModelRequest
from kimi_agent.output.choices import TOOL_NAME
from kimi_agent.output.spec import OutputMode
from kimi_agent.run import AnyTool, Run
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.search import NAMES
from kimi_agent.tooling.toolset import collect


@dataclass(frozen=True, slots=True)
class TurnTools:
    """The tools of one turn, by name.

    Attributes:
        offered: those that the model is told of.
        known: all that it may call; more than it is told of where it has to search for some.
    """

    offered: dict[str, AnyTool]
    known: dict[str, AnyTool]


async def tools_of(run: Run) -> TurnTools:
    """What there is after `prepare_tools`, what is left of it by the search, and the tools that take the answer. Raises
    ToolDefinitionError if two have one name."""
    plan, context = run.plan, run.context()
    reserved = (*plan.output.tools, *NAMES)  # no server takes the search away
    tools = await collect(plan.toolsets, context, reserved, run.names)
    if plan.prepare_tools is not None:
        kept = plan.prepare_tools(context, list(tools.values()))
        tools = {t.name: t for t in (await kept if inspect.isawaitable(kept) else kept)}
    if double := tools.keys() & plan.output.tools.keys():
        raise ToolDefinitionError(f"{double.pop()!r} names a tool and an output: name the output, ToolOutput(…, name='…')")
    catalogue = plan.search.catalogue(tools, plan.output.tools)
    offered = tools
    if catalogue is not None:
        offered = catalogue.offered(tools, run.messages, plan.settings.tool_choice)
        tools = {**tools, catalogue.tool.name: catalogue.tool}
    offered = {name: each for name, each in offered.items() if each.usable}
    if plan.output.mode(plan.model.profile) != "tool":
        return TurnTools(offered, tools)
    return TurnTools({**offered, **plan.output.tools}, {**tools, **plan.output.tools})


async def request_for(run: Run, tools: dict[str, AnyTool]) -> ModelRequest:
    """The next request."""
    instructions = "\n\n".join([text for part in run.plan.instructions if (text := await _said(part, run))])
    history = run.conversation.history
    mode = run.plan.output.mode(run.plan.model.profile)
    if told := run.plan.output.instruction(mode):
        instructions = f"{instructions}\n\n{told}" if instructions else told
    settings = _settings(run, mode)
    return ModelRequest(
        messages=(SystemMessage(instructions), *history) if instructions else history,
        tools=tuple(t.spec for t in tools.values()),
        settings=settings,
        known_tokens=run.known_tokens,
        known_messages=run.known_messages,
        conversation_id=run.run_id,
        room=run.streaks.room,
    )


def _settings(run: Run, mode: OutputMode | None) -> ModelSettings:
    """The plan's, with what the output needs of them."""
    settings = run.plan.settings
    if settings.max_tokens is not None and settings.max_tokens < run.streaks.room:  # the last answer was cut off there
        settings = replace(settings, max_tokens=run.streaks.room)
    if run.turn > 0 and settings.tool_choice not in (None, "auto", "none"):
        settings = replace(settings, tool_choice="auto")  # a forced call in every turn would never end
    if mode == "native":
        schema = {"name": TOOL_NAME, "schema": run.plan.output.schema}
        return replace(settings, response_format={"type": "json_schema", "json_schema": schema})
    if run.must_call and settings.tool_choice != "none" and run.plan.model.profile.may_force_calls(settings):
        return replace(settings, tool_choice="required")  # it was asked nicely
    return settings


async def _said(instruction: str | Callable[..., Any], run: Run) -> str:
    """Instructions are text, or a function of the context, or of nothing, sync or async, asked before each request."""
    if isinstance(instruction, str):
        return instruction
    text = instruction(run.context()) if inspect.signature(instruction).parameters else instruction()
    return await text if inspect.isawaitable(text) else text
