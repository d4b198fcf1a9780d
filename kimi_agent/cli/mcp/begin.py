"""What the commands of `kimi-agent mcp` have in common: how they begin, and how they end."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kimi_agent.cli.exits import INTERRUPTED, of_error
from kimi_agent.cli.interrupt import leaving_in_order
from kimi_agent.cli.mcp.targets import need_mcp
from kimi_agent.cli.options import tolerate_narrow_consoles
from kimi_agent.errors import KimiAgentError
from kimi_agent.observe.plain import error_line
from kimi_agent.redact import redact

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The mcp.json; default: your own, whose path `kimi-agent mcp list` prints.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]
SecondsOption = Annotated[float | None, typer.Option("--timeout", min=0.001, help="Seconds.")]


def carry_out(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Runs a command, and ends with its exit code. What is the caller's mistake, or a server's, is one line and no traceback."""
    tolerate_narrow_consoles()
    try:
        need_mcp()
        with leaving_in_order():
            code = asyncio.run(work())
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    except BrokenPipeError:  # nobody reads what is printed any more
        raise
    except (KimiAgentError, OSError, ValueError) as e:
        error_line(Console(stderr=True, highlight=False), redact(str(e)))
        code = of_error(e)
    raise typer.Exit(code)


def note(text: str) -> None:
    """Something that the user should know, beside the output."""
    typer.echo(redact(text), err=True)
