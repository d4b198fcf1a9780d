"""`kimi-agent run`: one task from the command line, a file or standard input."""

import asyncio
import io
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kimi_agent.agent import Agent
from kimi_agent.cli.environment import read_environment
from kimi_agent.cli.exits import INTERRUPTED, of_error, of_stop_reason
from kimi_agent.cli.load import load_tool
from kimi_agent.cli.progress import model_for
from kimi_agent.errors import KimiAgentError, UserError
from kimi_agent.limits import Limits
from kimi_agent.observe.console import ConsoleRenderer, error_line
from kimi_agent.redact import redact
from kimi_agent.settings import ModelSettings
from kimi_agent.stream import RunStream


def run(
    task: Annotated[
        str | None, typer.Argument(help="What to do; '-', or nothing with a pipe: read it from standard input.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the task from a file.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="kimi-k2.6, embedded, local, sglang:URL … Default: see doctor.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option("--tool", "-t", help="module:function or file.py:function; may be repeated.")
    ] = None,
    system: Annotated[str, typer.Option("--system", "-s", help="Instructions.")] = "",
    max_turns: Annotated[int, typer.Option("--max-turns", min=1, help="Most turns of the model.")] = 50,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.001, help="Seconds for the whole run.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Sampling temperature.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events, a JSON object a line.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show thoughts, whole results, usage, and log.")] = False,
) -> None:
    """Run a task to its end and show what happens. Keys come from the environment, or from a .env file here."""
    errors = Console(stderr=True, highlight=False)
    for stream in (sys.stdout, sys.stderr):  # a console that lacks a sign must not end the run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        read_environment()
        if verbose:
            logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
        agent = Agent(
            model_for(model),
            instructions=system,
            tools=[load_tool(spec) for spec in tool or []],
            settings=ModelSettings(temperature=temperature),
            limits=Limits(turns=max_turns, wall_clock=timeout),
        )
        code = asyncio.run(_watch(agent, _task(task, file), as_json, verbose))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (KimiAgentError, OSError, UnicodeDecodeError) as e:
        error_line(errors, redact(str(e)))
        code = of_error(e)
    raise typer.Exit(code)


def _task(task: str | None, file: Path | None) -> str:
    """Raises UserError where there is none, or two."""
    if file is not None and task is not None:
        raise UserError("the task is given twice: as an argument, and with --file")
    if file is not None:
        text = file.read_text(encoding="utf-8")
    elif task is None or task == "-":
        if sys.stdin.isatty() and task is None:
            raise UserError('there is no task: kimi-agent run "…", or --file FILE, or a pipe')
        text = sys.stdin.read()
    else:
        text = task
    if not text.strip():
        raise UserError("the task is empty")
    return text.strip()


async def _watch(agent: Agent, task: str, as_json: bool, verbose: bool) -> int:
    """Draws or prints the events; Ctrl-C cancels the run, which then ends in order."""
    stream = agent.stream(task)
    async with stream:
        _cancel_on_interrupt(stream)
        if as_json:
            async for event in stream:
                _print_json(event.to_dict())
        else:
            with ConsoleRenderer(verbose=verbose) as draw:
                async for event in stream:
                    draw(event)
    return of_stop_reason(stream.result.stop_reason)


def _print_json(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=False), flush=True)


def _cancel_on_interrupt(stream: RunStream) -> None:
    """The first Ctrl-C ends the run in order; a second one ends the program."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stream.request_cancel()
        loop.remove_signal_handler(signal.SIGINT)

    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGINT, interrupted)
