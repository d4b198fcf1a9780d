"""One server's entry of an mcp.json."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.config.authorization import Authorization
from kimi_agent.mcp.client.config.environment import read_env_file
from kimi_agent.mcp.client.config.spellings import TRANSPORTS, key_of, known_fields
from kimi_agent.mcp.client.config.variables import Surroundings
from kimi_agent.redact import is_secret_name, register_header, register_secret

_LEAST_MS = 1000  # what is below was meant in seconds


def _transport(value: object) -> object:
    return TRANSPORTS.get(value.lower(), value) if isinstance(value, str) else value


def _text(value: object) -> object:
    """Numbers and booleans are written bare in many files, and mean their text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServerConfig(BaseModel):
    """One server, as configured: texts may still hold variables. `command_line` and `options` are what `MCPServer` takes.

    Attributes:
        transport: None: stdio where there is a command, http where there is a URL.
        auth: how to sign in; a text other than `oauth` is a bearer token.
        timeout_ms: a tool call's, in milliseconds, as Claude Code and fastmcp have it; `timeout` is the same in seconds.
        allow: names or patterns of tools; None is all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    args: tuple[Text, ...] = ()
    env: dict[str, Text] = Field(default_factory=dict[str, str])
    env_file: str | None = None
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, Text] = Field(default_factory=dict[str, str])
    bearer_token_variable: str | None = None
    transport: Annotated[Literal["stdio", "http", "sse"], BeforeValidator(_transport)] | None = None
    auth: Authorization | str | bool | None = None
    disabled: bool = False
    enabled: bool = True
    timeout_ms: Milliseconds | None = None
    timeout: Seconds | None = None
    start_timeout_ms: Milliseconds | None = None
    start_timeout: Seconds | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    required: bool = False
    prefix: str = ""
    needs_approval: bool = False
    roots: tuple[str, ...] = ()
    sampling: bool = False
    log_level: str | None = None
    resource_tools: bool = False
    trust_annotations: bool = False

    _where: str = PrivateAttr(default="server")
    _folder: Path | None = PrivateAttr(default=None)
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def of(cls, entry: Mapping[str, object], where: str = "server", folder: Path | None = None) -> Self:
        """The config of an entry in any client's spelling.

        Args:
            where: how errors name it: the file and the server.
            folder: where the file lies.

        Raises:
            UserError: it names the field and what to write.
        """
        try:
            fields, notes = known_fields(entry)
            config = cls.model_validate(fields)
            _check(config)
        except ValidationError as e:  # its own text would show the values
            raise UserError(f"{where}: {_told(e)}") from None
        except UserError as e:
            raise UserError(f"{where}: {e}") from None
        if not config.enabled:
            config = config.model_copy(update={"disabled": True})
        config._where, config._folder, config._notes = where, folder, tuple(notes)
        return config

    def entry(self) -> dict[str, Any]:
        """The entry to write, with the keys that most clients know; only what was set."""
        dumped = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        return {key_of(name): value for name, value in dumped.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each key that was not understood."""
        return self._notes

    @property
    def command_line(self) -> tuple[str, ...]:
        """The command and its arguments with their variables filled in; empty for a server with a URL.

        Raises UserError where a variable is not set.
        """
        if self.command is None:
            return ()
        return (self._fill("command", self.command), *(self._fill(f"args[{i}]", arg) for i, arg in enumerate(self.args)))

    @property
    def options(self) -> dict[str, Any]:
        """The keywords of `MCPServer`, but for its name and its command; variables are filled in.

        Raises UserError where a variable is not set, or a file that is named is not there.
        """
        given: dict[str, Any] = {
            "transport": self.transport,
            "url": None if self.url is None else self._fill("url", self.url),
            "env": self._environment() or None,
            "cwd": None if self.cwd is None else self._path("cwd", self.cwd),
            "headers": self._headers() or None,
            "auth": self._auth(),
            "timeout": _seconds(self.timeout, self.timeout_ms),
            "start_timeout": _seconds(self.start_timeout, self.start_timeout_ms),
            "deny": self.deny,
            "roots": tuple(self._path(f"roots[{i}]", root) for i, root in enumerate(self.roots)),
        }
        for name in ("required", "prefix", "needs_approval", "sampling", "log_level", "resource_tools", "trust_annotations"):
            given[name] = getattr(self, name)
        said = {name: value for name, value in given.items() if value not in (None, (), "", False)}
        return said if self.allow is None else said | {"allow": self.allow}  # an empty list is none of them

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Arguments, URLs, headers and the environment hold secrets."""
        yield "command" if self.url is None else "url", self.command if self.url is None else self.url.partition("?")[0]

    def _fill(self, field: str, text: str) -> str:
        try:
            return Surroundings(os.environ, self._folder).expand(text)
        except UserError as e:
            raise UserError(f"{self._where}: {e} (in {field})") from None

    def _path(self, field: str, text: str) -> str:
        path = Path(self._fill(field, text)).expanduser()
        return str(path if self._folder is None else self._folder / path)

    def _environment(self) -> dict[str, str]:
        env: dict[str, str] = {}
        if self.env_file is not None:
            env = read_env_file(Path(self._path("envFile", self.env_file)), f"{self._where}: envFile")
        env |= {name: self._fill(f"env.{name}", value) for name, value in self.env.items()}
        for name, value in env.items():
            register_secret(value if is_secret_name(name) else None)
        return env

    def _headers(self) -> dict[str, str]:
        headers = {name: self._fill(f"headers.{name}", value) for name, value in self.headers.items()}
        token = self._fill("auth", self.auth) if isinstance(self.auth, str) and self.auth.lower() != "oauth" else None
        if self.bearer_token_variable is not None:
            token = self._fill("bearerTokenEnvVar", f"${{{self.bearer_token_variable}}}")
        if token is not None:
            headers["Authorization"] = f"Bearer {token.removeprefix('Bearer ')}"
        for name, value in headers.items():
            register_header(name, value)
        return headers

    def _auth(self) -> object:
        if self.auth is True or (isinstance(self.auth, str) and self.auth.lower() == "oauth"):
            return Authorization().settings(lambda field, text: text)
        if isinstance(self.auth, Authorization):
            try:
                return self.auth.settings(self._fill)
            except UserError as e:
                raise UserError(f"{self._where}: {e}" if self._where not in str(e) else str(e)) from None
        return None


def _seconds(seconds: float | None, milliseconds: float | None) -> float | None:
    if seconds is not None or not milliseconds:
        return seconds
    return milliseconds / 1000 if math.isfinite(milliseconds) else None


def _check(config: ServerConfig) -> None:
    if (config.command is None) == (config.url is None):
        which = 'neither "command" nor "url"' if config.command is None else 'both "command" and "url"'
        raise UserError(f'it has {which}: a program to start needs "command", a server that runs needs "url"')
    if config.command is not None and not config.command.strip():
        raise UserError('"command" is empty: name the program to start')
    if config.transport is not None and (config.transport == "stdio") != (config.command is not None):
        raise UserError(f'"type": "{config.transport}" needs "{"command" if config.transport == "stdio" else "url"}"')
    for field in ("timeout_ms", "start_timeout_ms"):
        value = getattr(config, field)
        if value and value < _LEAST_MS:
            seconds = key_of(field.removesuffix("_ms"))
            raise UserError(f'"{key_of(field)}": {value:g} is in milliseconds: write {value * 1000:g}, or "{seconds}": {value:g}')


def _told(error: ValidationError) -> str:
    """The first problem, without the value it is about."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = [part for part in first["loc"] if not (isinstance(part, str) and (part == "Authorization" or "[" in part))]
    field = ".".join([key_of(str(place[0])), *(str(part) for part in place[1:])]) if place else "it"
    return f"{field}: {first['msg']}"
