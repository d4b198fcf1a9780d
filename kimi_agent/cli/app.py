"""The typer application; each command in a module of its own."""

import typer

from kimi_agent import __version__
from kimi_agent.cli.chat.command import chat
from kimi_agent.cli.doctor import doctor
from kimi_agent.cli.exits import EXIT_CODES
from kimi_agent.cli.faults.command import faults
from kimi_agent.cli.mcp.app import mcp
from kimi_agent.cli.models import models
from kimi_agent.cli.run import run
from kimi_agent.cli.tools import tools

_EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

app = typer.Typer(
    name="kimi-agent", help="Run agents on Kimi models.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
app.command(epilog=_EPILOG)(run)
app.command(epilog=_EPILOG)(chat)
app.command()(models)
app.command()(tools)
app.command()(doctor)
app.command()(faults)
app.add_typer(mcp)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kimi-agent {__version__}")
        raise typer.Exit


@app.callback()
def _main(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")) -> None:
    """Run agents on Kimi models."""
