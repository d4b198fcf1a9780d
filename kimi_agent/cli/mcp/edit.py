"""`kimi-agent mcp add` and `remove`: the configuration file, without an editor."""

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from kimi_agent.cli.exits import OK
from kimi_agent.cli.mcp.begin import ConfigOption, carry_out, note
from kimi_agent.cli.mcp.pairs import pairs_of
from kimi_agent.cli.mcp.shown import is_literal_secret
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import one_line, plain

_URL = re.compile(r"https?://", re.IGNORECASE)

PairsOption = Annotated[
    list[str] | None,
    typer.Option("--env", help="NAME=VALUE for a command; '${OTHER}' in it is read from the environment; repeatable."),
]
HeadersOption = Annotated[list[str] | None, typer.Option("--header", help="NAME=VALUE for a URL; may be repeated.")]


def add(
    name: Annotated[str, typer.Argument(help="What the server is called from now on.")],
    where: Annotated[list[str], typer.Argument(metavar="URL | -- COMMAND ARGS…", help="Where it is, or what starts it.")],
    env: PairsOption = None,
    header: HeadersOption = None,
    transport: Annotated[str | None, typer.Option("--transport", help="stdio, http or sse; default: as it looks.")] = None,
    auth: Annotated[str | None, typer.Option("--auth", help="oauth: sign in with a browser.")] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", help="Where the command is started.")] = None,
    allow: Annotated[list[str] | None, typer.Option("--allow", help="Only these tools, or patterns of names; repeatable.")] = None,
    deny: Annotated[list[str] | None, typer.Option("--deny", help="Not these tools; repeatable.")] = None,
    force: Annotated[bool, typer.Option("--force", help="In place of a server of that name.")] = False,
    config: ConfigOption = None,
) -> None:
    """Add a server to the configuration: mcp add NAME URL, or mcp add NAME -- COMMAND ARGS…. It is not started."""
    options = {"transport": transport, "auth": auth, "cwd": cwd, "allow": allow, "deny": deny}

    async def work() -> int:
        pairs = {"env": pairs_of(env, "--env"), "headers": pairs_of(header, "--header")}
        return await _add(name, {k: v for k, v in {**_place(where), **options, **pairs}.items() if v}, config, force)

    carry_out(work)


def remove(name: Annotated[str, typer.Argument(help="Which server.")], config: ConfigOption = None) -> None:
    """Take a server out of the configuration."""
    carry_out(lambda: _remove(name, config))


async def _add(name: str, given: dict[str, Any], config: Path | None, force: bool) -> int:
    from kimi_agent.mcp.client.config import ServerConfig, add_server, default_config_path, read_config

    path = config or default_config_path()
    if not force and path.exists() and name in read_config(path):
        raise UserError(f"{path} has a server {name!r} already: choose another name, or say --force")
    add_server(path, name, ServerConfig.of(given, f"mcp add {name}"), overwrite=force)
    for kind in ("env", "headers"):
        for key in (k for k, v in given.get(kind, {}).items() if is_literal_secret(k, v)):
            note(f"{plain(key)} stands in the file as you gave it; '${{{_variable(key)}}}' would be read from the environment")
    place = f" --config {quote(str(config))}" if config else ""
    print(plain(f"added {name} to {path}; kimi-agent mcp doctor {quote(name)}{place} tries it"))
    return OK


async def _remove(name: str, config: Path | None) -> int:
    from kimi_agent.mcp.client.config import default_config_path, remove_server

    path = config or default_config_path()
    remove_server(path, name)
    print(plain(f"removed {name} from {path}"))
    return OK


def _place(where: Sequence[str]) -> dict[str, Any]:
    """Raises UserError."""
    if not _URL.match(where[0]):
        return {"command": where[0], "args": list(where[1:])}
    if len(where) > 1:
        raise UserError(f"behind a URL comes nothing more: {one_line(' '.join(where[1:]), 80)!r}")
    return {"url": where[0]}


def _variable(name: str) -> str:
    return re.sub(r"\W+", "_", name).upper()
