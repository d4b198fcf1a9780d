"""Progress and notes of running tools, as they are drawn; without a process."""

import asyncio
import io
import math
import re
from typing import Any

import pytest
from rich.console import Console

from kimi_agent import Agent, RunContext, ScriptedModel, ToolLog, ToolProgress, call, tool
from kimi_agent.cli.chat.render import ChatRenderer
from kimi_agent.cli.chat.session import View
from kimi_agent.cli.watch import Watch
from kimi_agent.observe.console import ConsoleRenderer
from kimi_agent.observe.reports import log_text, progress_text

pytestmark = pytest.mark.anyio
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def drawing(kind: str, *, details: bool = False, terminal: bool = False) -> tuple[Any, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, highlight=False)
    if kind == "run":
        return ConsoleRenderer(console, verbose=details), file
    return ChatRenderer(console, View(folded=not details)), file


@tool
async def copy(ctx: RunContext) -> str:
    """Copies files."""
    for i in range(50):
        ctx.report("copying", i, 50)
    ctx.report("", 50, 50)
    ctx.log("read 50 files", source="disk")
    ctx.log("the disk is \x1b[31mnearly[/red] full", "warning", "disk")
    ctx.log("odd", "unheard-of")
    await asyncio.sleep(0.4)  # long enough for the last line to be drawn
    return "copied"


@pytest.mark.parametrize("kind", ["run", "chat"])
async def test_warnings_of_tools_are_shown_and_the_rest_to_who_asks_for_details(kind: str) -> None:
    for details in (False, True):
        draw, file = drawing(kind, details=details)
        await Watch(draw)(Agent(ScriptedModel([call("copy"), "Done."]), tools=[copy]).stream("Go"))
        shown = file.getvalue()
        assert "! warning from disk: the disk is [31mnearly[/red] full" in shown and "\x1b" not in shown
        assert "! unheard-of: odd" in shown
        assert ("! info from disk: read 50 files" in shown) == details


async def test_what_is_said_again_and_again_is_one_line_in_a_pipe() -> None:
    draw, file = drawing("run")
    await Watch(draw)(Agent(ScriptedModel([call("copy"), "Done."]), tools=[copy]).stream("Go"))
    assert file.getvalue().count("copying") == 1 and "  … 0/50 copying" in file.getvalue()


@pytest.mark.parametrize("kind", ["run", "chat"])
async def test_the_last_line_of_a_terminal_tells_how_far_it_is(kind: str) -> None:
    draw, file = drawing(kind, terminal=True)
    running = asyncio.create_task(Watch(draw)(Agent(ScriptedModel([call("copy"), "Done."]), tools=[copy]).stream("Go")))
    while "· 50/50" not in CONTROL.sub("", file.getvalue()):
        assert not running.done(), CONTROL.sub("", file.getvalue())
        await asyncio.sleep(0.02)
    await running


@pytest.mark.parametrize(
    ("progress", "total", "text", "shown"),
    [
        (3, 10, "half\nway", "3/10 half way"),
        (0.25, 1, "", "0.25/1"),
        (7, None, "", "7"),
        (7, 0, "x", "7 x"),
        (math.nan, 10, "x", "x"),
        (5, math.inf, "x", "5 x"),
        (None, None, "", ""),
    ],
)
def test_progress_is_told_in_numbers_where_they_make_sense(
    progress: float | None, total: float | None, text: str, shown: str
) -> None:
    assert progress_text(ToolProgress("c", text, progress, total)) == shown


def test_a_note_without_end_is_cut() -> None:
    text = log_text(ToolLog("c", "error", "line\n" * 1000, "s" * 1000))
    assert len(text) < 700 and "more lines" in text
