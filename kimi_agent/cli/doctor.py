"""`kimi-agent doctor`: what is configured, and which model would be used, and why."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled

from kimi_agent import __version__
from kimi_agent.cli.environment import ENV_FILE, read_environment
from kimi_agent.cli.exits import USAGE
from kimi_agent.cli.installed import embedded_tiers
from kimi_agent.cli.options import console_for_tables, tolerate_narrow_consoles
from kimi_agent.errors import UserError
from kimi_agent.models.resolve import explain_model, resolve_model
from kimi_agent.observe.plain import plain
from kimi_agent.redact import redact

_KEYS = ("MOONSHOT_API_KEY", "KIMI_API_KEY", "KIMI_ENDPOINT_API_KEY")
_PLAIN = ("KIMI_BASE_URL", "KIMI_MODEL_NAME", "KIMI_LOCAL_BASE_URL", "KIMI_AGENT_CACHE", "KIMI_EMBEDDED_MODEL")
_OPTIONAL = ("xllamacpp", "openai", "httpx", "anthropic", "mcp", "torch", "sglang")


def doctor(
    model: Annotated[str | None, typer.Option("--model", "-m", help="Explain this model instead of the default.")] = None,
) -> None:
    """Say what is configured and which model a run would use. Exit code 2 if there is none."""
    tolerate_narrow_consoles()
    console = console_for_tables()
    try:
        from_file = read_environment()
    except UserError as e:
        console.print(Styled(plain(redact(str(e))), "red"), soft_wrap=True)
        raise typer.Exit(USAGE) from None
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in [*_versions(), *_variables(from_file), *embedded_tiers()]:
        table.add_row(name, Styled(plain(value)))
    console.print(table)
    try:
        resolve_model(model)
        console.print(Styled.assemble(("model  ", "bold"), plain(explain_model(model))), soft_wrap=True)
    except UserError as e:
        console.print(Styled.assemble(("model  ", "bold"), ("none: ", "red"), plain(redact(str(e)))), soft_wrap=True)
        raise typer.Exit(USAGE) from None


def _versions() -> list[tuple[str, str]]:
    found = [f"{name} {_version(name)}" for name in _OPTIONAL if _version(name)]
    return [
        ("kimi-agent", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("optional packages", ", ".join(found) or "none"),
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _variables(from_file: list[str]) -> list[tuple[str, str]]:
    """Of a key only that it is set: not a character of it is shown."""
    rows: list[tuple[str, str]] = []
    for name in (*_KEYS, *_PLAIN):
        value = os.environ.get(name)
        shown = "not set" if not value else "set" if name in _KEYS else redact(value)
        rows.append((name, shown + (f" (from {ENV_FILE})" if value and name in from_file else "")))
    return rows
