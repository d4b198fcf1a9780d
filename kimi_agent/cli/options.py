"""Options that several commands have, and the agent that they describe."""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from kimi_agent.agent import Agent
from kimi_agent.cli.load import load_tool
from kimi_agent.limits import Limits
from kimi_agent.models.base import Model
from kimi_agent.settings import ModelSettings

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="kimi-k2.6, embedded, local, sglang:URL … Default: see doctor.")
]
ToolOption = Annotated[list[str] | None, typer.Option("--tool", "-t", help="module:function or file.py:function; may be repeated.")]
SystemOption = Annotated[str, typer.Option("--system", "-s", help="Instructions.")]
TurnsOption = Annotated[int, typer.Option("--max-turns", min=1, help="Most turns of the model.")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=0.001, help="Seconds for the whole run, or for one answer of a chat.")
]
TemperatureOption = Annotated[float | None, typer.Option("--temperature", help="Sampling temperature.")]


def agent_of(
    model: Model,
    *,
    tools: Sequence[str],
    system: str,
    max_turns: int,
    timeout: float | None = None,
    temperature: float | None = None,
    **more: Any,
) -> Agent[Any]:
    """The agent that the options of `run` and `chat` describe; `more` are attributes of `Agent`. Raises UserError."""
    return Agent(
        model,
        instructions=system,
        tools=[load_tool(spec) for spec in tools],
        settings=ModelSettings(temperature=temperature),
        limits=Limits(turns=max_turns, wall_clock=timeout),
        **more,
    )


def tolerate_narrow_consoles() -> None:
    """A console that lacks a sign must not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
