"""Options that several commands have, and the agent that they describe."""

import inspect
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO, get_args, get_origin, get_type_hints

import typer
from rich.console import Console

from kimi_agent.agent import Agent
from kimi_agent.cli.load import load_tool
from kimi_agent.limits import Limits
from kimi_agent.models.base import Model
from kimi_agent.observe.plain import plain
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.toolset import Toolset

_WIDE = 10_000  # columns

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="kimi-k2.6, embedded, local, sglang:URL … Default: see doctor.")
]
ToolOption = Annotated[list[str] | None, typer.Option("--tool", "-t", help="module:function or file.py:function; may be repeated.")]
McpOption = Annotated[
    list[str] | None,
    typer.Option("--mcp", help="An MCP server: its command line, its URL, or its name in your configuration; may be repeated."),
]
McpConfigOption = Annotated[
    list[Path] | None, typer.Option("--mcp-config", help="All servers of this mcp.json; may be repeated. Their commands are run.")
]
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
    servers: Sequence[Toolset] = (),
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
        tools=[*(_without_deps(load_tool(spec)) for spec in tools), *servers],
        settings=ModelSettings(temperature=temperature),
        limits=Limits(turns=max_turns, wall_clock=timeout),
        **more,
    )


def _without_deps(tool: Any) -> Any:
    """The same; says on standard error where it seems to want what only a program can give it."""
    function: Any = getattr(tool, "function", tool)
    function = inspect.unwrap(function) if callable(function) else function
    try:
        hints = get_type_hints(function)
    except Exception:  # what is no function, or has names that are not known
        return tool
    contexts = [h for h in hints.values() if h is RunContext or get_origin(h) is RunContext]
    typed = any(a not in (Any, type(None)) for h in contexts for a in get_args(h))
    if contexts and (typed or "deps" in getattr(getattr(function, "__code__", None), "co_names", ())):
        name = getattr(tool, "name", None) or getattr(tool, "__name__", "")
        typer.echo(f"the tool {plain(name)} takes ctx.deps, which is None on the command line: only a program can set it", err=True)
    return tool


def console_for_tables() -> Console:
    """Of standard output. Where it is no terminal nothing is wrapped: a path that is cut in two is of no use to a program."""
    return Console(highlight=False, width=None if is_terminal(sys.stdout) else _WIDE)


def is_terminal(*streams: TextIO | None) -> bool:
    """Whether all are terminals; a stream that was closed is None, and none."""
    return all(stream is not None and stream.isatty() for stream in streams)


def tolerate_narrow_consoles() -> None:
    """A console that lacks a sign must not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
