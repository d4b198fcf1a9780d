"""What of a stranger's text reaches a terminal, and how a download is told of where none is."""

import io
import json
import time
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console

from kimi_agent import Agent, ScriptedModel, ToolCall, UserError, UserMessage, dump_messages
from kimi_agent.cli.approve import TerminalApprover
from kimi_agent.cli.chat.app import Chat, Counted
from kimi_agent.cli.chat.commands import run_command
from kimi_agent.cli.chat.history import InputHistory
from kimi_agent.cli.chat.render import PlainRenderer
from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.cli.files import write_private
from kimi_agent.cli.progress import notes_of_progress
from kimi_agent.cli.watch import Watch
from kimi_agent.observe.plain import exact, json_line, plain
from kimi_agent.observe.waiting import Waiting, lend_screen
from kimi_agent.tooling.context import RunContext

pytestmark = pytest.mark.anyio
ALL = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
UNSAFE = [c for c in ALL if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\t\u200c\u200d"]


def test_nothing_that_a_terminal_obeys_or_hides_is_left() -> None:
    assert plain("".join(UNSAFE) + "\u115f\u3164\u2065") == ""
    kept = "naïve 晴 \u05d0 👩\u200d🔬 می\u200cخواهم\n\t"
    assert plain(kept) == kept


def test_json_hides_nothing_and_is_the_same_value() -> None:
    value = {"a": "".join(UNSAFE) + "é晴"}
    line = json_line(value)
    assert json.loads(line) == value and not set(UNSAFE) & set(line)


async def test_what_is_approved_is_seen_whole() -> None:
    file = io.StringIO()

    async def ask(question: str) -> str:
        return "y"

    console = Console(file=file, width=100, highlight=False)
    approver = TerminalApprover(Watch(PlainRenderer(console)), console, ask)
    arguments = '{"path": "/etc\u200b\u202e\x7f/x\u200c", "raw": "\x9b", "more": "\U000e0041"}'
    context = RunContext(None, None)  # type: ignore[arg-type]
    await approver(context, ToolCall("c", "rm", arguments, 0), {})
    shown = file.getvalue()
    assert "/etc\\u200b\\u202e\\u007f/x\\u200c" in shown and "\\u009b" in shown and "\\udb40\\udc41" in shown
    assert exact("a\nb") == "a\nb"


class _Lines:
    interactive = True
    pasted = False

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    async def next(self) -> str:
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)


async def test_a_command_that_fails_in_a_way_that_nobody_foresaw_ends_no_chat() -> None:
    def broken(name: str) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    file = io.StringIO()
    notes = Console(file=file, width=100)
    session = ChatSession(agent=Agent(ScriptedModel([])), resolve=broken, messages=(UserMessage("kept"),))  # type: ignore[arg-type]
    draw = Counted(PlainRenderer(notes), session)
    reader = _Lines("/model x", "/usage")
    chat = Chat(session=session, reader=reader, draw=draw, watch=Watch(draw), notes=notes)  # type: ignore[arg-type]
    assert await chat.converse() == 0
    assert "ZeroDivisionError: nobody foresaw it" in file.getvalue() and "messages of yours 1" in file.getvalue()


def test_a_download_is_told_of_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    tell = notes_of_progress()
    for done in range(0, 1_000_000_001, 5_000_000):
        tell("fetching\x1b[2J the model", done, 1_000_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0] == "fetching[2J the model: 0 % of 1,000 MB" and lines[-1].endswith("100 % of 1,000 MB")


def test_a_progress_bar_has_the_screen_alone() -> None:
    file = io.StringIO()
    waiting = Waiting(Console(file=file, force_terminal=True, width=60))
    try:
        waiting.show([("thinking", 0.0)])
        lend_screen(True)
        at = file.tell()
        waiting.show([("calling x", 0.0)])
        assert file.tell() == at
        lend_screen(False)
        while "calling x" not in file.getvalue()[at:]:  # drawn by a thread
            time.sleep(0.02)
    finally:
        lend_screen(False)
        waiting.stop()


def test_links_stay_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text(dump_messages([UserMessage("hi")]))
    real.chmod(0o644)
    link.symlink_to(real)
    session = ChatSession(agent=Agent(ScriptedModel([])), resolve=lambda name: ScriptedModel([]))
    run_command(session, f"/load {link}")
    session.messages *= 2
    run_command(session, "/save")
    assert link.is_symlink() and real.read_text().count("hi") == 2
    kept = tmp_path / "history"
    target = tmp_path / "dotfiles"
    target.write_text("")
    target.chmod(0o644)
    kept.symlink_to(target)
    InputHistory(kept).store_string("hello")
    assert "hello" in target.read_text() and target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", [".", "/", "..", "a\0b", ""])
def test_a_name_that_cannot_be_written_is_explained(name: str) -> None:
    with pytest.raises(UserError, match=r"directory|cannot be written"):
        write_private(Path(name), "x", overwrite=True)
