"""`kimi-agent run`: one task from the command line, a file or standard input."""

import asyncio
import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kimi_agent.agent import Agent
from kimi_agent.cli.approve import TerminalApprover
from kimi_agent.cli.ask import ask_on_terminal
from kimi_agent.cli.environment import read_environment
from kimi_agent.cli.exits import INTERRUPTED, of_error, of_stop_reason
from kimi_agent.cli.interrupt import leaving_in_order
from kimi_agent.cli.mcp.attach import Attached, attach
from kimi_agent.cli.options import (
    McpConfigOption,
    McpOption,
    ModelOption,
    SystemOption,
    TemperatureOption,
    TimeoutOption,
    ToolOption,
    TurnsOption,
    agent_of,
    is_terminal,
    tolerate_narrow_consoles,
)
from kimi_agent.cli.output import load_output, print_output
from kimi_agent.cli.progress import model_for
from kimi_agent.cli.watch import Watch
from kimi_agent.errors import KimiAgentError, UserError
from kimi_agent.events import Event
from kimi_agent.observe.console import ConsoleRenderer
from kimi_agent.observe.plain import PlainFormatter, error_line, json_line
from kimi_agent.redact import redact


def run(
    task: Annotated[
        str | None, typer.Argument(help="What to do; '-', or nothing with a pipe: read it from standard input.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the task from a file.")] = None,
    model: ModelOption = None,
    tool: ToolOption = None,
    mcp: McpOption = None,
    mcp_config: McpConfigOption = None,
    system: SystemOption = "",
    max_turns: TurnsOption = 50,
    timeout: TimeoutOption = None,
    temperature: TemperatureOption = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A JSON Schema file, or module:Type: print an answer that fits it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events, a JSON object a line.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show thoughts, whole results, usage, what was healed, and log.")
    ] = False,
) -> None:
    """Run a task to its end and show what happens. Keys come from the environment, or from a .env file here."""
    errors = Console(stderr=True, highlight=False)
    tolerate_narrow_consoles()
    try:
        read_environment()
        if verbose:
            _log_to_standard_error()
        typed = {} if output is None else {"output": load_output(output)}
        what = _task(task, file)
        options = {"tools": tool or [], "system": system, "max_turns": max_turns, "timeout": timeout, "temperature": temperature}
        attached = attach(mcp or [], mcp_config or [])
        agent = agent_of(model_for(model), servers=attached.servers, **options, **typed)
        with leaving_in_order():
            code = asyncio.run(_watch(agent, what, attached, typed=bool(typed), as_json=as_json, verbose=verbose))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    except BrokenPipeError:  # nobody reads what is printed any more
        raise
    except (KimiAgentError, OSError, ValueError) as e:
        error_line(errors, redact(str(e)))
        code = of_error(e)
    raise typer.Exit(code)


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _task(task: str | None, file: Path | None) -> str:
    """Raises UserError where there is none, or two."""
    if file is not None and task is not None:
        raise UserError("the task is given twice: as an argument, and with --file")
    if file is not None:
        text = file.read_text(encoding="utf-8")
    elif task is None or task == "-":
        if sys.stdin is None or (sys.stdin.isatty() and task is None):
            raise UserError('there is no task: kimi-agent run "…", or --file FILE, or a pipe')
        text = sys.stdin.read()
    else:
        text = task
    if not text.strip():
        raise UserError("the task is empty")
    return text.strip()


async def _watch(agent: Agent[Any], task: str, attached: Attached, *, typed: bool, as_json: bool, verbose: bool) -> int:
    """Draws or prints the events; Ctrl-C cancels the run, which then ends in order. With a typed output only that is printed on
    standard output, and what happens is drawn on standard error."""
    with ConsoleRenderer(Console(stderr=typed, highlight=False), verbose=verbose, answer=not typed) as renderer:
        watch = Watch(_JsonLines() if as_json else renderer)
        async with attached.in_use(watch.lent):
            stream = _asking(agent, watch).stream(task)
            await watch(stream)
    if typed and not as_json and stream.result.stop_reason == "completed":
        print_output(stream.result.output)
    return of_stop_reason(stream.result.stop_reason)


def _asking(agent: Agent[Any], watch: Watch) -> Agent[Any]:
    """With a person there, calls that need approval are asked for; else they wait."""
    if not is_terminal(sys.stdin, sys.stderr):
        return agent
    return agent.with_(approver=TerminalApprover(watch, Console(stderr=True, highlight=False), ask_on_terminal))


class _JsonLines:
    """Prints each event as a JSON object on a line."""

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is to be taken away."""
        return nullcontext()

    def __call__(self, event: Event) -> None:
        print(json_line(event.to_dict()), flush=True)
