"""`kimi-agent mcp serve`: functions, toolsets and agents as an MCP server."""

import os
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kimi_agent.cli.environment import read_environment
from kimi_agent.cli.exits import OK
from kimi_agent.cli.files import read_text
from kimi_agent.cli.load import load_tools
from kimi_agent.cli.mcp.begin import carry_out, note
from kimi_agent.cli.options import is_terminal
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import plain

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)?:)?(?P<port>\d{1,5})")

_OPTIONS = {
    "token=": "--token-env or --token-file ",
    "insecure=True": "--insecure",
    "allowed_hosts=": "--allow-host ",
    "allowed_origins=": "--allow-origin ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Where the server listens, and whom it answers."""

    host: str
    port: int
    path: str
    token: str | None
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    insecure: bool


def serve(
    targets: Annotated[
        list[str], typer.Argument(help="module:name or file.py:name of functions, tools, toolsets, agents; or a file.")
    ],
    http: Annotated[str | None, typer.Option("--http", help="[HOST:]PORT: over HTTP, in place of standard streams.")] = None,
    path: Annotated[str, typer.Option("--path", help="Of the URL.")] = "/mcp",
    token_env: Annotated[
        str | None, typer.Option("--token-env", help="The variable with the token that clients must send.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="The file with that token.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A Host header that is answered; repeatable.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option("--allow-origin", help="An Origin that is answered; repeatable.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen to other machines without a token.")] = False,
    name: Annotated[str, typer.Option("--name", help="As clients show it.")] = "kimi-agent",
    instructions: Annotated[str, typer.Option("--instructions", help="What clients tell their models of it.")] = "",
    tool_timeout: Annotated[float, typer.Option("--tool-timeout", min=0.001, help="Seconds for a call.")] = 300.0,
) -> None:
    """Serve tools and agents to MCP clients, on standard streams or over HTTP. The files are imported: they are code that runs."""
    hosts, origins = tuple(allow_host or ()), tuple(allow_origin or ())

    async def work() -> int:
        listens = None
        token = _token(token_env, token_file)
        if http is not None:
            host, port = _address(http)
            listens = HttpOptions(
                host=host, port=port, path=path, token=token, allowed_hosts=hosts, allowed_origins=origins, insecure=insecure
            )
        elif token is not None or hosts or origins or insecure:
            raise UserError(
                "tokens, hosts and origins are for --http: on standard streams there is one client, who started the server"
            )
        return await _serve(targets, listens, name=name, instructions=instructions, tool_timeout=tool_timeout)

    carry_out(work)


async def _serve(targets: list[str], listens: HttpOptions | None, **options: Any) -> int:
    from kimi_agent.mcp.server.service import MCPService

    with redirect_stdout(sys.stderr):  # standard output is the client's from the first byte
        read_environment()
        service = MCPService(*(value for spec in targets for _, value in load_tools(spec)), **options)
    if listens is None:
        if is_terminal(sys.stdin):
            note("a client is to start this command, and to speak MCP on its standard streams; Ctrl-C ends it, --http serves a URL")
        await service.stdio()
        return OK
    try:
        await service.http(
            host=listens.host,
            port=listens.port,
            path=listens.path,
            token=listens.token,
            allowed_hosts=listens.allowed_hosts,
            allowed_origins=listens.allowed_origins,
            insecure=listens.insecure,
            ready=lambda url: note(f"serving {plain(url)}"),
        )
    except UserError as e:
        raise UserError(_in_options(str(e))) from None
    return OK


def _in_options(text: str) -> str:
    """The same advice, for somebody who has options in place of keywords."""
    for keyword, option in _OPTIONS.items():
        text = text.replace(keyword, option)
    return text


def _address(text: str) -> tuple[str, int]:
    """`PORT`, `HOST:PORT` or `[IPv6]:PORT`. Raises UserError."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65_535:
        raise UserError(f"--http {text!r}: write PORT or HOST:PORT, as in --http 8765")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])


def _token(variable: str | None, file: Path | None) -> str | None:
    """From where other users of the machine cannot read it, as they can a command line. Raises UserError."""
    if variable is not None and file is not None:
        raise UserError("the token is given twice: --token-env and --token-file")
    if variable is not None:
        token = os.environ.get(variable, "").strip()
        missing = f"--token-env {variable}: this variable is not set; it is the variable's name that is given, not the token"
    elif file is not None:
        token, missing = read_text(file).strip(), f"--token-file {file}: the file is empty"
    else:
        return None
    if not token:
        raise UserError(missing)
    return token
