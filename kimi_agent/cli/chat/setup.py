"""A chat at the terminal, or at a pipe, put together of its parts."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.agent import Agent
from kimi_agent.cli.approve import TerminalApprover
from kimi_agent.cli.ask import ask_on_terminal
from kimi_agent.cli.chat.app import Chat, Counted
from kimi_agent.cli.chat.history import InputHistory, history_file
from kimi_agent.cli.chat.input import PipeReader, TerminalReader
from kimi_agent.cli.chat.render import ChatRenderer, PlainRenderer
from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.cli.options import agent_of
from kimi_agent.cli.progress import model_for
from kimi_agent.cli.watch import Watch
from kimi_agent.errors import ToolDefinitionError
from kimi_agent.models.base import Model
from kimi_agent.observe.plain import plain
from kimi_agent.tooling.toolset import as_tool


async def converse(model: Model, options: Mapping[str, Any], *, load: Path | None, history: bool, images: bool) -> int:
    """Talks until the user leaves; the exit code. Raises UserError for options that cannot be."""
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    agent = agent_of(model, **options)
    session = ChatSession(agent=agent, resolve=model_for, tools=_known(agent), finds_images=images)
    if load is not None:
        session.load(load)
    chat = _at_terminal(session, history) if at_terminal else _at_pipe(session)
    code = await chat.converse()
    if not at_terminal and not chat.asked:
        print("standard input ended before a message came: nothing was asked")
    return code


def _at_terminal(session: ChatSession, history: bool) -> Chat:
    console = Console(highlight=False)
    draw = Counted(ChatRenderer(console, session.view), session)
    watch = Watch(draw, patience=2)  # the conversation is lost with the process: pressing twice in a hurry must not end it
    session.agent = session.agent.with_(approver=TerminalApprover(watch, console, ask_on_terminal))
    loaded = f", {len(session.messages)} messages loaded" if session.messages else ""
    console.print(Styled(f"{plain(session.model_name)}{loaded} · /help lists the commands, Ctrl-D leaves", "dim"), soft_wrap=True)
    reader = TerminalReader(InputHistory(history_file()) if history else None)
    return Chat(session=session, reader=reader, draw=draw, watch=watch, notes=console)


def _at_pipe(session: ChatSession) -> Chat:
    """Errors and notes go to standard error. Nobody can be asked: calls that need approval wait, as in `kimi-agent run`."""
    draw = Counted(PlainRenderer(Console(highlight=False)), session)
    return Chat(session=session, reader=PipeReader(), draw=draw, watch=Watch(draw), notes=Console(stderr=True, highlight=False))


def _known(agent: Agent[Any]) -> list[Any]:
    """The tools by name and description, where they can be known before a run."""
    known: list[Any] = []
    for each in agent.tools:
        try:
            known.append(as_tool(each, {}))
        except ToolDefinitionError:
            known.append(each)
    return known
