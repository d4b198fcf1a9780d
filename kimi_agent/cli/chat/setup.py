"""A chat at the terminal, or at a pipe, put together of its parts."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.approve import TerminalApprover
from kimi_agent.cli.ask import ask_on_terminal
from kimi_agent.cli.chat.app import Chat, Counted
from kimi_agent.cli.chat.history import InputHistory, history_file
from kimi_agent.cli.chat.input import PipeReader, TerminalReader
from kimi_agent.cli.chat.render import ChatRenderer, PlainRenderer
from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.cli.mcp.attach import Attached
from kimi_agent.cli.options import agent_of, is_terminal
from kimi_agent.cli.progress import model_for
from kimi_agent.cli.watch import Watch
from kimi_agent.errors import ToolDefinitionError
from kimi_agent.models.base import Model
from kimi_agent.observe.plain import plain
from kimi_agent.tooling.toolset import as_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """What `kimi-agent chat` may be told beside the agent.

    Attributes:
        load: a conversation to go on with.
        history: whether what is typed is kept.
        images: whether paths of images in messages are attached.
        commands: whether lines of a pipe are obeyed.
    """

    load: Path | None
    history: bool
    images: bool
    commands: bool


async def converse(model: Model, options: Mapping[str, Any], given: ChatOptions, attached: Attached) -> int:
    """Talks until the user leaves; the exit code. Raises UserError for options that cannot be."""
    at_terminal = is_terminal(sys.stdin, sys.stdout)
    agent = agent_of(model, servers=attached.servers, **options)
    session = ChatSession(
        agent=agent,
        resolve=model_for,
        tools=_known(t for t in agent.tools if t not in attached.servers),
        servers=attached.servers,
        finds_images=given.images and (at_terminal or given.commands),
    )
    if given.load is not None:
        session.load(given.load)
    chat = _at_terminal(session, given.history) if at_terminal else _at_pipe(session, given.commands)
    async with attached.in_use(chat.watch.lent):
        code = await chat.converse()
    if not at_terminal and not chat.asked:
        typer.echo("standard input ended before a message came: nothing was asked", err=True)
    return code


def _at_terminal(session: ChatSession, history: bool) -> Chat:
    console = Console(highlight=False)
    draw = Counted(ChatRenderer(console, session.view), session)
    ask = partial(ask_on_terminal, pastes_marked=True)
    watch = Watch(draw, patience=2)  # the conversation is lost with the process: pressing twice in a hurry must not end it
    session.agent = session.agent.with_(approver=TerminalApprover(watch, console, ask))
    loaded = f", {len(session.messages)} messages loaded" if session.messages else ""
    console.print(Styled(f"{plain(session.model_name)}{loaded} · /help lists the commands, Ctrl-D leaves", "dim"), soft_wrap=True)
    reader = TerminalReader(InputHistory(history_file()) if history else None)
    return Chat(session=session, reader=reader, draw=draw, watch=watch, notes=console, ask=ask)


def _at_pipe(session: ChatSession, commands: bool) -> Chat:
    """Errors and notes go to standard error. Nobody can be asked: calls that need approval wait, as in `kimi-agent run`."""
    draw = Counted(PlainRenderer(Console(highlight=False)), session)
    notes = Console(stderr=True, highlight=False)
    return Chat(session=session, reader=PipeReader(), draw=draw, watch=Watch(draw), notes=notes, commands=commands)


def _known(tools: Iterable[Any]) -> list[Any]:
    """The tools by name and description, where they can be known before a run."""
    known: list[Any] = []
    for each in tools:
        try:
            known.append(as_tool(each, {}))
        except ToolDefinitionError:
            known.append(each)
    return known
