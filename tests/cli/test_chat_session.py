"""A chat's state and its commands, without a terminal."""

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from kimi_agent import (
    Agent,
    AssistantMessage,
    FunctionModel,
    Image,
    Profile,
    ScriptedModel,
    UserError,
    UserMessage,
    call,
    load_messages,
    tool,
)
from kimi_agent.cli.approve import answer_in
from kimi_agent.cli.chat.commands import COMMANDS, is_command, run_command
from kimi_agent.cli.chat.history import MAX_BYTES, InputHistory
from kimi_agent.cli.chat.images import MAX_BYTES as MAX_IMAGE
from kimi_agent.cli.chat.images import images_in, read_image
from kimi_agent.cli.chat.input import ChatCompleter
from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.observe.markdown import StreamedMarkdown
from kimi_agent.observe.plain import one_line

pytestmark = pytest.mark.anyio
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def blind() -> FunctionModel:
    return FunctionModel(lambda request: "I see nothing.", name="blind", profile=Profile(image_input=False))


def session(*replies: Any, **more: Any) -> ChatSession:
    def resolve(name: str) -> Any:
        if name != "other":
            raise UserError(f"there is no model {name}")
        return ScriptedModel(["From the other."])

    return ChatSession(agent=Agent(ScriptedModel(replies), tools=[add]), resolve=resolve, tools=[add], **more)


async def ask(chat: ChatSession, text: str) -> Any:
    message, _ = chat.compose(text)
    result = await chat.agent.run([message], messages=chat.messages)
    chat.took(result)
    return result.output


async def test_undo_takes_back_the_last_exchange_with_its_calls() -> None:
    chat = session("one", [call("add", a=1, b=2)], "3", "again")
    await ask(chat, "first")
    kept = chat.messages
    await ask(chat, "1 + 2?")
    assert len(chat.messages) == 6 and len(chat.calls()) == 1
    assert run_command(chat, "/undo") == "taken back: 1 + 2?"
    assert chat.messages == kept
    run_command(chat, "/undo")
    with pytest.raises(UserError, match="nothing to take back"):
        run_command(chat, "/undo")


async def test_the_model_is_switched_and_the_conversation_goes_on() -> None:
    chat = session("one")
    await ask(chat, "first")
    with pytest.raises(UserError, match="no model nobody"):
        run_command(chat, "/model nobody")
    assert "from now on" in run_command(chat, "/model other")
    assert await ask(chat, "second") == "From the other."
    assert len(chat.messages) == 4


async def test_save_and_load_lose_nothing_and_overwrite_nothing_unasked(tmp_path: Path) -> None:
    chat = session([call("add", a=1, b=2)], "3")
    await ask(chat, "1 + 2?")
    file, other = tmp_path / "talk.json", tmp_path / "mine.txt"
    other.write_text("mine")
    with pytest.raises(UserError, match="where to"):
        run_command(chat, "/save")
    run_command(chat, f"/save {file}")
    assert load_messages(file.read_text()) == chat.messages
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="exists already"):
        run_command(chat, f"/save {other}")
    assert other.read_text() == "mine"
    run_command(chat, "/save")  # to where it was saved last
    run_command(chat, f"/save --force {other}")
    assert load_messages(other.read_text()) == chat.messages
    assert sorted(os.listdir(tmp_path)) == ["mine.txt", "talk.json"]
    before = chat.messages
    run_command(chat, "/new")
    assert chat.messages == ()
    run_command(chat, f"/load {file}")
    assert chat.messages == before


@pytest.mark.parametrize("content", ["{", "[]", '{"role": "user"}', "\xff"])
async def test_a_file_that_holds_no_conversation_leaves_this_one_alone(tmp_path: Path, content: str) -> None:
    chat = session("one")
    await ask(chat, "first")
    before = chat.messages
    (tmp_path / "x.json").write_text(content, encoding="latin-1")
    for name in ("x.json", "none.json", ""):
        with pytest.raises(UserError):
            run_command(chat, f"/load {tmp_path / name}")
    assert chat.messages == before


async def test_unfold_shows_a_call_by_its_number() -> None:
    chat = session([call("add", a=1, b=2), call("add", a=3, b=4)], "done")
    await ask(chat, "add")
    assert '"a": 3' in run_command(chat, "/unfold 2") and "→ 7" in run_command(chat, "/unfold 2")
    assert chat.view.folded
    everything = run_command(chat, "/unfold")
    assert "→ 3" in everything and "→ 7" in everything and not chat.view.folded
    run_command(chat, "/fold")
    assert chat.view.folded
    for wrong in ("9", "x", "0", "-1", "²"):
        with pytest.raises(UserError, match=r"no call .*there are 1, 2"):
            run_command(chat, f"/unfold {wrong}")


def test_unknown_commands_name_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean /model"):
        run_command(session(), "/modle kimi-k3")
    with pytest.raises(UserError, match="/help lists them"):
        run_command(session(), "/zzzzz")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/undo", True),
        ("/save /tmp/x", True),
        ("/", True),
        ("/unknown thing", True),
        ("//etc", False),
        ("/home/me/cat.png what is it?", False),
        ("/a\\ b/c.png", False),
        ("hello /undo", False),
    ],
)
def test_a_message_may_begin_with_a_path(line: str, expected: bool) -> None:
    assert is_command(line) is expected


def test_help_names_every_command_and_tools_lists_them() -> None:
    shown = run_command(session(), "/help")
    assert all(f"/{name}" in shown for name in COMMANDS)
    assert run_command(session(), "/tools") == "add  Adds two numbers."


def test_a_failed_message_is_kept_apart_or_in_the_conversation() -> None:
    chat, asked = session(), UserMessage("Hi")
    chat.failed(UserError("no key"), asked, ())
    assert chat.messages == () and chat.begin() is asked
    with pytest.raises(UserError, match="nothing to try again"):
        chat.begin()
    broken = RuntimeError("a hook")
    chat.failed(broken, asked, (asked,))
    assert chat.messages == (asked,) and chat.begin() is None
    error = UserError("in mid-run")
    error.messages = (asked, AssistantMessage("half"))
    chat.failed(error, asked, ())
    assert chat.messages == error.messages


# ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "what's in {dir}/a.png? It isn't big",
        "{dir}/a.png",
        "see '{dir}/a.png'.",
        'see "{dir}/my cat.png" please',
        "see {dir}/my\\ cat.png",
        "{dir}/my cat.png",
        "file://{dir}/my%20cat.png",
        "'{dir}/my cat.png' ",
        "(~/a.png)",
        "twice: {dir}/a.png {dir}/a.png",
    ],
)
def test_paths_of_images_are_found_as_users_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a.png", "my cat.png"):
        (tmp_path / name).write_bytes(PNG)
    found, problems = images_in(text.format(dir=tmp_path))
    assert [f.image for f in found] == [Image(PNG, "image/png")] and not problems


def test_what_is_no_image_is_not_attached(tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_bytes(b"#!/bin/sh")
    (tmp_path / "notes.txt").write_bytes(PNG)
    (tmp_path / "photo.png").write_bytes(b"\xff\xd8\xff\xe0 a JPEG by another name")
    with (tmp_path / "huge.png").open("wb") as file:
        os.truncate(file.fileno(), MAX_IMAGE + 1)
    found, problems = images_in(
        f"{tmp_path}/fake.png {tmp_path}/notes.txt {tmp_path}/none.png {tmp_path}/huge.png \0.png {'x' * 5000}.png"
    )
    assert found == [] and len(problems) == 2
    assert "no image of a kind" in problems[0] and "20" in problems[1]
    assert read_image(f"{tmp_path}/photo.png").image.media_type == "image/jpeg"
    for name in ("none.png", "fake.png", "huge.png", ""):
        with pytest.raises(UserError):
            read_image(f"{tmp_path}/{name}")


async def test_images_go_with_the_message_and_a_blind_model_refuses_before_sending(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG + b"b")
    chat = session("Two.")
    assert "it goes with your next message" in run_command(chat, f"/image {tmp_path}/a.png")
    message, notes = chat.compose(f"and {tmp_path}/b.png?")
    assert [type(p).__name__ for p in message.content] == ["Text", "Image", "Image"]
    assert len(notes) == 1 and "b.png (image/png" in notes[0]
    assert chat.compose("next")[0].content == UserMessage("next").content
    chat.agent = chat.agent.with_(model=blind())
    with pytest.raises(UserError, match="takes no images"):
        run_command(chat, f"/image {tmp_path}/a.png")
    with pytest.raises(UserError, match=r"takes no images.*b\.png"):
        chat.compose(f"look at {tmp_path}/b.png")
    chat.finds_images = False
    assert chat.compose(f"look at {tmp_path}/b.png")[0].text == f"look at {tmp_path}/b.png"


# ── typing and showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_history_is_private_masks_keys_and_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "state" / "chat_history"
    InputHistory(path).store_string("my key is sk-abcdefghijkl\nsecond line \ud83d")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(InputHistory(path).load_history_strings()) == ["my key is sk-***\nsecond line ?"]
    for _ in range(3):
        InputHistory(path).store_string("x" * (MAX_BYTES // 2))
    InputHistory(path).store_string("newest")
    assert next(iter(InputHistory(path).load_history_strings())) == "newest"
    assert path.stat().st_size < MAX_BYTES and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_kept_ends_no_chat(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = InputHistory(tmp_path / "file" / "chat_history")
    history.store_string("x")
    assert list(history.load_history_strings()) == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/un", {"/undo", "/unfold"}),
        ("/model kimi-k2.", {"kimi-k2.6", "kimi-k2.5", "kimi-k2.7-code"}),
        ("/load {dir}/ta", {"lk.json"}),
        ("see {dir}/ta", {"lk.json"}),
        ("tal", set()),
        ("/tools x", set()),
    ],
)
def test_tab_completes_commands_models_and_paths(tmp_path: Path, typed: str, offered: set[str]) -> None:
    (tmp_path / "talk.json").write_text("")
    found = ChatCompleter().get_completions(Document(typed.format(dir=tmp_path)), CompleteEvent(completion_requested=True))
    assert {c.text for c in found} == offered


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("y", ("yes", "")), (" YES ", ("yes", "")), ("a", ("always", "")), ("n", ("no", "")), ("n, too dear", ("no", "too dear")),
     ("no it is late", ("no", "it is late")), ("", (None, "")), ("yes but not there", (None, "")), ("nope", (None, ""))],
)  # fmt: skip
def test_an_answer_that_is_not_clear_approves_nothing(typed: str, meant: tuple[str | None, str]) -> None:
    assert answer_in(typed) == meant


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_markdown_keeps_every_character_however_it_is_cut(size: int) -> None:
    text = "# Title\nSome **strong** and `code *x*`, 2 * 3 **\n```python\na = '**b**' # c\n```\n   - item\n#tag\n*"
    styled = StreamedMarkdown()
    pieces = [p for i in range(0, len(text), size) for p in styled.feed(text[i : i + size])] + styled.end()
    assert "".join(t for t, _ in pieces) == text

    def style_of(part: str) -> str:
        at = text.index(part)
        return next(style for i, style in enumerate(s for t, s in pieces for _ in t) if i == at)

    assert style_of("Title") == "bold magenta" and style_of("strong") == "bold" and style_of("code *x") == "cyan"
    assert style_of("a = ") == "cyan" and style_of("- item") == "" and style_of("#tag") == ""


def test_one_line_is_one_line() -> None:
    assert one_line("a\n\x1b[31m b\tc", 20) == "a [31m b c"
    assert one_line("word\n" * 100, 10) == "word word…"
    assert one_line(json.dumps({"a": 1}), 40) == '{"a": 1}'
