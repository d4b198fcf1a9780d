"""How servers are named on the command line: a command, a URL, or the name that a server has in a configuration file."""

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimi_agent.cli.mcp.pairs import pairs_of
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import one_line

if TYPE_CHECKING:
    from kimi_agent.mcp.client.config import ServerConfig
    from kimi_agent.mcp.client.server import MCPServer

_NAMED = re.compile(r"([A-Za-z][\w-]*)=(.+)", re.DOTALL)
_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A server that was named.

    Attributes:
        name: as it is called; None where it has none yet.
        options: arguments of `MCPServer`, secrets among them: never to be shown.
        command: what is started, and its arguments; empty where there is a URL.
    """

    name: str | None
    options: Mapping[str, Any]
    command: tuple[str, ...] = ()

    def server(self, **more: Any) -> "MCPServer":
        """The server, not yet connected; `more` wins over what the configuration says. Raises UserError."""
        from kimi_agent.mcp.client.server import MCPServer

        options: dict[str, Any] = {"name": self.name, **self.options, **more}
        return MCPServer(*self.command, **options)


def need_mcp() -> None:
    """Raises UserError where the package that speaks the protocol is not installed."""
    if find_spec("mcp") is None:
        raise UserError("MCP servers need the package mcp: pip install 'kimi-agent[mcp]'")


def target_of(spec: str, known: Callable[[], Mapping[str, "ServerConfig"]]) -> Target:
    """What `--mcp`, or the first argument of `mcp call`, names: `[NAME=]URL`, `[NAME=]COMMAND LINE`, or a NAME that is `known`.

    A command line is split as a shell does, and never given to one. Raises UserError.
    """
    name = None
    if not _URL.match(spec) and (named := _NAMED.fullmatch(spec)):
        name, spec = named[1], named[2]
    spec = spec.strip()
    if _URL.match(spec):
        return Target(name, {"url": spec})
    try:
        words = shlex.split(spec)
    except ValueError as e:
        raise UserError(f"--mcp {one_line(spec, 80)!r} cannot be split as a command line: {e}") from None
    if not words:
        raise UserError("--mcp is empty: write a command, a URL, or the name of a server")
    if len(words) > 1:
        return _with_blanks(spec, name, known) or Target(name, {}, tuple(words))
    return _of_one_word(words[0], name, known())


def configured(name: str, config: "ServerConfig") -> Target:
    """A server of a configuration file. Raises UserError where a variable that it names is not set."""
    return Target(name, config.options, config.command_line)


def place_options(target: Target, headers: Sequence[str] | None, env: Sequence[str] | None, auth: str | None) -> dict[str, Any]:
    """What `--header`, `--env` and `--auth` add to a server, `${NAME}` filled in from the environment. Raises UserError."""
    added: dict[str, Any] = {}
    if headers:
        added["headers"] = {**target.options.get("headers", {}), **_filled(headers, "--header")}
    if env:
        added["env"] = {**target.options.get("env", {}), **_filled(env, "--env")}
    if auth is not None and auth != "oauth":
        raise UserError(f"--auth {auth!r}: write --auth oauth; a token is a header: --header 'Authorization=Bearer …'")
    if auth is not None:
        from kimi_agent.mcp.client.oauth import OAuth

        added["auth"] = OAuth()
    return added


def _filled(given: Sequence[str], option: str) -> dict[str, str]:
    from kimi_agent.mcp.client.config.variables import Surroundings

    here = Surroundings(os.environ, None)
    try:
        return {name: here.expand(value) for name, value in pairs_of(given, option).items()}
    except UserError as e:
        raise UserError(f"{option}: {e}") from None


def known_servers(files: Iterable[Path]) -> dict[str, "ServerConfig"]:
    """Of these files, or of the user's own where there are none; that one may be missing. Raises UserError."""
    from kimi_agent.mcp.client.config import default_config_path, read_config

    given = list(files)
    if not given and not default_config_path().exists():
        return {}
    found: dict[str, ServerConfig] = {}
    for path in given or [default_config_path()]:
        found |= read_config(path)
    return found


def _with_blanks(spec: str, name: str | None, known: Callable[[], Mapping[str, "ServerConfig"]]) -> Target | None:
    """A server whose name reads as a command line; a configuration that cannot be read is no reason to refuse a command."""
    try:
        servers = known()
    except UserError:
        return None
    return _of_configuration(spec, name, servers) if spec in servers else None


def _of_configuration(called: str, name: str | None, servers: Mapping[str, "ServerConfig"]) -> Target:
    found = configured(called, servers[called])
    return Target(name or called, found.options, found.command)


def _of_one_word(word: str, name: str | None, servers: Mapping[str, "ServerConfig"]) -> Target:
    if word in servers:
        return _of_configuration(word, name, servers)
    if shutil.which(word) is not None:
        return Target(name, {}, (word,))
    near = difflib.get_close_matches(word, servers, n=3, cutoff=0.5)
    has = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(servers)}" if servers else "none is configured"
    raise UserError(
        f"{one_line(word, 80)!r} is neither a server of the configuration ({has}), nor a command that is found, nor a URL: "
        "kimi-agent mcp list shows what is configured"
    )
