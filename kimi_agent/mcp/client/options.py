"""What a user says of a server, checked."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.addresses import hide_address
from kimi_agent.mcp.client.elicitation import Elicit
from kimi_agent.mcp.client.names import server_name
from kimi_agent.mcp.client.sampling import Sampling
from kimi_agent.mcp.client.secrets import register_command, register_named, register_url
from kimi_agent.models.base import Model
from kimi_agent.tooling.tool import NeedsApproval, Tool

if TYPE_CHECKING:
    import httpx2

    from kimi_agent.mcp.client.oauth import OAuth

Transport: TypeAlias = Literal["stdio", "http", "sse"]
LogLevel: TypeAlias = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See `MCPServer`, whose keyword arguments these are."""

    command: Sequence[str] = field(default=(), repr=False)
    url: str | None = field(default=None, repr=False)
    transport: Transport = "stdio"
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth: "httpx2.Auth | OAuth | None" = field(default=None, repr=False)
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    keep: Callable[[Tool[..., Any]], bool] | None = None
    prefix: str = ""
    needs_approval: NeedsApproval = False
    timeout: float | None = None
    start_timeout: float = 60.0
    ping_timeout: float = 10.0
    required: bool = False
    roots: tuple[Path, ...] = ()
    elicit: Elicit | None = None
    sampling: bool | Sampling = False
    sampling_model: str | Model | None = None
    log_level: LogLevel | None = "info"
    resource_tools: bool = False
    trust_annotations: bool = False

    def wants(self, original: str) -> bool:
        """Whether the user wants this tool, by the server's name for it."""
        if any(fnmatchcase(original, pattern) for pattern in self.deny):
            return False
        return self.allow is None or any(fnmatchcase(original, pattern) for pattern in self.allow)


def checked(given: dict[str, Any]) -> Options:
    """The options of a server as the user gave them. Raises UserError, which says what to write."""
    options = {name: value for name, value in given.items() if value is not None}
    command, url = tuple(options.get("command", ())), cast(str | None, options.get("url"))
    if not command and url is None:
        raise UserError("MCPServer needs a command or a url: MCPServer('npx', '-y', '…') or MCPServer(url='http://…/mcp')")
    if command and url is not None:
        raise UserError("MCPServer takes a command or a url, not both")
    if not all(isinstance(cast(object, word), str) for word in command):
        raise UserError("MCPServer takes the words of a command one by one: MCPServer('npx', '-y', '@scope/server', '.')")
    transport = options.setdefault("transport", "http" if url else "stdio")
    if transport not in ("stdio", "http", "sse") or (transport == "stdio") != (url is None):
        raise UserError(f"transport={transport!r}: a command speaks 'stdio', a url 'http' or, at an old server, 'sse'")
    _check_place(command, url)
    for names in ("allow", "deny"):
        if isinstance(options.get(names), str):
            raise UserError(f"{names}= takes a list of names: {names}=['{options[names]}']")
        if names in options:
            options[names] = frozenset(options[names])
    if "roots" in options:
        options["roots"] = _paths(options["roots"])
    for name in ("ping_timeout", "start_timeout", "timeout"):
        if options.get(name, 1.0) <= 0:
            raise UserError(f"{name}= is in seconds, and above 0")
    options["name"] = options.get("name") or server_name([url] if url else command)
    made = Options(**options)
    _hide_secrets(made)
    return made


def _hide_secrets(options: Options) -> None:
    register_command(options.command)
    for name, value in [*options.env.items(), *options.headers.items()]:
        register_named(name, value)
    if options.url is not None:
        register_url(options.url)
        hide_address(options.url)


def _check_place(command: Sequence[str], url: str | None) -> None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise UserError(f"url={url!r}: a URL begins with http:// or https://")
    if len(command) == 1 and command[0].startswith(("http://", "https://")):
        raise UserError(f"MCPServer(url={command[0]!r}): a URL is given as url=")
    if len(command) == 1 and " " in command[0] and not Path(command[0]).exists():
        words = ", ".join(map(repr, shlex.split(command[0])))
        raise UserError(f"MCPServer takes the words of a command one by one: MCPServer({words})")


def _paths(roots: Iterable[str | Path] | str | Path) -> tuple[Path, ...]:
    given = [roots] if isinstance(roots, str | Path) else list(roots)
    return tuple(Path(root).expanduser().resolve() for root in given)
