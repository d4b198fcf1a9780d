"""`--mcp` and `--mcp-config`: servers whose tools an agent of the command line has."""

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from kimi_agent.cli.approve import Ask
from kimi_agent.cli.ask import ask_on_terminal
from kimi_agent.cli.mcp.elicit import Lend, TerminalElicitor
from kimi_agent.cli.mcp.targets import Target, configured, known_servers, need_mcp, target_of
from kimi_agent.cli.options import is_terminal
from kimi_agent.errors import UserError
from kimi_agent.observe.plain import PlainFormatter, plain
from kimi_agent.redact import redact

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer


@dataclass(frozen=True, slots=True)
class Attached:
    """Servers, not yet connected, and what asks the user for them; None where nobody can be asked."""

    servers: "tuple[MCPServer, ...]" = ()
    elicitor: TerminalElicitor | None = None

    @asynccontextmanager
    async def in_use(self, lend: Lend) -> AsyncGenerator[None]:
        """While the agent runs. What they warn of is told on standard error; at the end they are closed, all at once."""
        if self.elicitor is not None:
            self.elicitor.lend = lend
        with warnings_told():
            try:
                yield
            finally:
                async with asyncio.TaskGroup() as group:
                    for server in self.servers:
                        group.create_task(server.aclose())


def attach(specs: Sequence[str], files: Sequence[Path], *, ask: Ask = ask_on_terminal) -> Attached:
    """The servers that the options name; `ask` asks the user, where there is one. Raises UserError; one that cannot be reached is
    no error, and found out later."""
    if not specs and not files:
        return Attached()
    need_mcp()
    elicitor = terminal_elicitor(ask)
    with warnings_told():
        targets = [*(_of_files(files) if files else ()), *(target_of(spec, lambda: known_servers(())) for spec in specs)]
    return Attached(_servers(targets, elicitor), elicitor)


def _of_files(files: Sequence[Path]) -> Iterator[Target]:
    """All that are not disabled. One that cannot be set up is a warning, as one that cannot be started is."""
    for name, config in known_servers(files).items():
        try:
            if not config.disabled:
                yield configured(name, config)
        except UserError as e:
            if config.required:
                raise
            typer.echo(f"warning: {plain(redact(str(e)))}", err=True)


def _servers(targets: Iterable[Target], elicitor: TerminalElicitor | None) -> "tuple[MCPServer, ...]":
    """Each with a name of its own: it tells their tools apart. Raises UserError where the user gave one name to two."""
    made: dict[str, MCPServer] = {}
    for target in targets:
        server = target.server(elicit=elicitor)
        if server.name in made and target.name is not None:
            raise UserError(f"two MCP servers are named {server.name!r}: name one of them, --mcp OTHER={server.name}")
        if server.name in made:
            free = next(name for i in count(2) if (name := f"{server.name}_{i}") not in made)
            server = target.server(elicit=elicitor, name=free)
        made[server.name] = server
    return tuple(made.values())


def terminal_elicitor(ask: Ask = ask_on_terminal) -> TerminalElicitor | None:
    """What asks the user; None where there is none."""
    return TerminalElicitor(Console(stderr=True, highlight=False), ask) if is_terminal(sys.stdin, sys.stderr) else None


@contextmanager
def warnings_told() -> Generator[None]:
    """What the library has to say of servers, such as one that cannot be started, is told on standard error."""
    if logging.getLogger().handlers:  # --verbose tells all
        yield
        return
    logger, handler = logging.getLogger("kimi_agent.mcp"), _Echo(logging.WARNING)
    handler.setFormatter(PlainFormatter("warning: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Echo(logging.Handler):
    """To the standard error of the moment, which whoever draws on the terminal may have taken over."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            typer.echo(self.format(record), err=True)
