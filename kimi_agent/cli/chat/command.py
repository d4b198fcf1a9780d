"""The options of `kimi-agent chat`, and what they set up."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kimi_agent.cli.ask import ask_on_terminal
from kimi_agent.cli.environment import read_environment
from kimi_agent.cli.exits import INTERRUPTED, of_error
from kimi_agent.cli.interrupt import leaving_in_order
from kimi_agent.cli.mcp.attach import attach
from kimi_agent.cli.options import (
    McpConfigOption,
    McpOption,
    ModelOption,
    SystemOption,
    TemperatureOption,
    TimeoutOption,
    ToolOption,
    TurnsOption,
    tolerate_narrow_consoles,
)
from kimi_agent.cli.progress import model_for
from kimi_agent.errors import KimiAgentError
from kimi_agent.observe.plain import error_line
from kimi_agent.redact import redact


def chat(
    model: ModelOption = None,
    tool: ToolOption = None,
    mcp: McpOption = None,
    mcp_config: McpConfigOption = None,
    system: SystemOption = "",
    max_turns: TurnsOption = 50,
    timeout: TimeoutOption = None,
    temperature: TemperatureOption = None,
    load: Annotated[Path | None, typer.Option("--load", help="Go on with a conversation that /save wrote.")] = None,
    no_history: Annotated[bool, typer.Option("--no-history", help="Neither read nor keep what is typed.")] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Through a pipe: obey lines that begin with /, and attach the images that are named.")
    ] = False,
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave paths of images in messages alone.")] = False,
) -> None:
    """Talk with a model that has tools. Through a pipe each line is a message, and only the answers are printed."""
    tolerate_narrow_consoles()
    errors = Console(stderr=True, highlight=False)
    try:
        read_environment()
        from kimi_agent.cli.chat.setup import ChatOptions, converse

        options = {"tools": tool or [], "system": system, "max_turns": max_turns, "timeout": timeout, "temperature": temperature}
        saved = Path(os.path.expanduser(load)) if load is not None else None
        given = ChatOptions(load=saved, history=not no_history, images=not no_images, commands=commands)
        attached = attach(mcp or [], mcp_config or [], ask=partial(ask_on_terminal, pastes_marked=True))
        with leaving_in_order():
            code = asyncio.run(converse(model_for(model), options, given, attached))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = INTERRUPTED
    except BrokenPipeError:  # nobody reads the answers any more
        raise
    except (KimiAgentError, OSError) as e:
        error_line(errors, redact(str(e)))
        code = of_error(e)
    raise typer.Exit(code)
