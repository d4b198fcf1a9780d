"""`kimi-agent mcp list`: the servers of the configuration, and, where it is asked for, their tools."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from kimi_agent.cli.exits import OK, PROVIDER
from kimi_agent.cli.mcp.begin import ConfigOption, JsonOption, carry_out, note
from kimi_agent.cli.mcp.shown import shown_command, shown_url
from kimi_agent.cli.mcp.targets import configured, known_servers
from kimi_agent.cli.options import console_for_tables
from kimi_agent.errors import KimiAgentError
from kimi_agent.observe.plain import json_line, one_line, plain
from kimi_agent.redact import redact

if TYPE_CHECKING:
    from kimi_agent.mcp.client.config import ServerConfig


@dataclass(slots=True)
class Row:
    """A server, as it may be shown.

    Attributes:
        where: its command line or URL.
        env, headers: names only.
        tools: description by name; None where it was not asked for them.
        error: why it did not tell its tools.
    """

    name: str
    transport: str
    where: str
    env: list[str]
    headers: list[str]
    disabled: bool
    tools: dict[str, str] | None = None
    error: str = ""


def list_servers(
    config: ConfigOption = None,
    tools: Annotated[bool, typer.Option("--tools", help="Connect to all of them at once, and show their tools.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the servers of the configuration. What may be a secret is not shown."""
    carry_out(lambda: _list(config, tools, as_json))


async def _list(config: Path | None, tools: bool, as_json: bool) -> int:
    from kimi_agent.mcp.client.config import default_config_path

    servers = known_servers([config] if config else [])
    rows = [_row(name, server) for name, server in servers.items()]
    if tools:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                if not row.disabled:
                    group.create_task(_ask(row, servers[row.name]))
    path = config or default_config_path()
    if as_json:
        print(json_line({"config": str(path), "servers": [asdict(row) for row in rows]}))
    else:
        for each in (f"{name}: {text}" for name, server in servers.items() for text in server.notes):
            note(plain(each))
        _print(console_for_tables(), path, rows)
    return PROVIDER if any(row.error for row in rows) else OK


def _row(name: str, server: "ServerConfig") -> Row:
    transport = server.transport or ("http" if server.url else "stdio")
    where = shown_url(server.url) if server.url else shown_command([server.command or "", *server.args])
    return Row(name, transport, where, sorted(server.env), sorted(server.headers), server.disabled)


async def _ask(row: Row, config: "ServerConfig") -> None:
    try:
        async with configured(row.name, config).server() as server:
            row.tools = {tool.name: tool.description for tool in await server.list_tools()}
    except Exception as e:  # no server may keep the others from being listed
        row.error = redact(str(e) if isinstance(e, KimiAgentError) else one_line(f"{type(e).__name__}: {e}", 500))


def _print(console: Console, path: Path, rows: list[Row]) -> None:
    if not rows:
        console.print(
            Styled(plain(f"no servers in {path}: kimi-agent mcp add NAME -- COMMAND …, or mcp add NAME URL")), soft_wrap=True
        )
        return
    console.print(Styled(plain(str(path)), "dim"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("name", "transport", "command or URL", "env, headers"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "transport")
    for row in rows:
        name = Styled(plain(row.name), "dim" if row.disabled else "bold")
        table.add_row(
            name.append(" (disabled)" if row.disabled else ""),
            row.transport,
            Styled(plain(row.where)),
            Styled(plain(", ".join([*row.env, *row.headers]))),
        )
    console.print(table)
    for row in rows:
        _print_tools(console, row)


def _print_tools(console: Console, row: Row) -> None:
    if row.error:
        console.print(Styled(f"\n{plain(row.name)}: {plain(row.error)}", "red"), soft_wrap=True)
    if row.tools is not None:
        console.print(Styled(f"\n{plain(row.name)}: {len(row.tools)} tools", "bold"))
        print_tools(console, row.tools)


def print_tools(console: Console, tools: Mapping[str, str]) -> None:
    """Names, and the first words of the descriptions."""
    width = max(map(len, tools), default=0)
    for name, description in tools.items():
        console.print(Styled.assemble(f"  {plain(name):{width}}  ", (one_line(description, 100), "dim")), soft_wrap=True)
