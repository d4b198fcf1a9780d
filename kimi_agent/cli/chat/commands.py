"""The slash commands: each takes the session and what stands behind its name, and returns what is to be printed."""

import difflib
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.errors import MCPServerError, UserError
from kimi_agent.messages import AssistantMessage, ToolCall, ToolMessage, UserMessage
from kimi_agent.models.base import Model
from kimi_agent.observe.plain import arguments_of, one_line, plain

_FORCE = "--force"
_NAMED = re.compile(r"/([\w-]*)(?:\s|$)")
_KEYS = (
    "Enter sends · Alt-Enter or Ctrl-J: a new line · Tab completes · Ctrl-R searches what you typed · "
    "Ctrl-C interrupts an answer · Ctrl-D leaves"
)


@dataclass(frozen=True, slots=True)
class Command:
    """One slash command; `completes` says what may stand behind it."""

    usage: str
    help: str
    run: Callable[[ChatSession, str], str | Awaitable[str]]
    completes: str = ""


def is_command(line: str) -> bool:
    """Whether a line is one: `//text` is a message, and so is one that begins with a path, as a dragged file does."""
    named = _NAMED.match(line)
    return named is not None and (named[1] in COMMANDS or not Path(f"/{named[1]}").is_file())


def run_command(session: ChatSession, line: str) -> str | Awaitable[str]:
    """What a line that begins with `/` does; some have to wait for what they say.

    Raises UserError, with the nearest names where there is no such command.
    """
    name, _, argument = line[1:].partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        near = difflib.get_close_matches(name.lower(), COMMANDS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join('/' + n for n in near)}?" if near else "/help lists them."
        raise UserError(f"there is no command /{name}: {hint} A message that begins with / is written with //")
    return command.run(session, argument.strip())


def _model(session: ChatSession, name: str) -> str:
    if name:
        session.switch(name)
    return f"{session.model_name} answers{' from now on' if name else ''}{_abilities(session.model)}"


def _abilities(model: Model) -> str:
    profile = model.profile
    window = f", {profile.context_window:,} tokens of context" if profile.context_window else ""
    return f"{window}, {'takes' if profile.image_input else 'no'} images"


def _tools(session: ChatSession, _: str) -> str | Awaitable[str]:
    return _with_those_of_servers(session) if session.servers else _described(session.tools)


async def _with_those_of_servers(session: ChatSession) -> str:
    listed = list(session.tools)
    for server in session.servers:
        try:
            listed += await server.list_tools()
        except MCPServerError as e:
            listed.append(e)
    return _described(listed)


def _described(tools: Iterable[Any]) -> str:
    lines = [f"{t.name}  {one_line(t.description, 100)}" if hasattr(t, "description") else str(t) for t in tools]
    return "\n".join(lines) or "there are no tools; start with --tool module:function, or --mcp SERVER"


def _usage(session: ChatSession, _: str) -> str:
    used = session.usage
    turns = sum(isinstance(m, AssistantMessage) for m in session.messages)
    asked = sum(isinstance(m, UserMessage) for m in session.messages)
    money = f"${used.cost_usd:.4f}" if used.cost_usd else "no price is known"
    return (
        f"this conversation: messages of yours {asked}, turns of the model {turns}, calls {len(session.calls())}\n"
        f"this session: requests {used.requests}, {used.input_tokens:,} tokens in ({used.cached_tokens:,} cached), "
        f"{used.output_tokens:,} out ({used.reasoning_tokens:,} thoughts), {money}"
    )


def _save(session: ChatSession, argument: str) -> str:
    force, name = _forced(argument)
    path = _path(name) if name else session.file
    if path is None:
        raise UserError("/save FILE: where to?")
    session.save(path, overwrite=force or path == session.file)
    return f"saved {len(session.messages)} messages to {path}"


def _load(session: ChatSession, argument: str) -> str:
    if not argument:
        raise UserError("/load FILE: which one?")
    session.load(_path(argument))
    return f"loaded {len(session.messages)} messages; the conversation goes on from there"


def _undo(session: ChatSession, _: str) -> str:
    return f"taken back: {one_line(session.undo().text, 80)}"


def _clear(session: ChatSession, _: str) -> str:
    session.clear()
    return "a new conversation"


def _image(session: ChatSession, argument: str) -> str:
    if argument == "--none":
        session.attached.clear()
        return "nothing is attached"
    if not argument:
        return "\n".join(f"attached: {f.path}" for f in session.attached) or "/image PATH attaches an image to the next message"
    found = session.attach(argument)
    return f"attached {found.path} ({found.image.media_type}): it goes with your next message"


def _fold(session: ChatSession, _: str) -> str:
    session.view.folded = True
    return "calls are shown on one line"


def _unfold(session: ChatSession, argument: str) -> str:
    calls = session.calls()
    if not argument:
        session.view.folded = False
        return "\n".join([*(unfolded(*each) for each in calls), "calls are shown whole from now on; /fold folds them"])
    number = int(argument) if argument.isdecimal() and len(argument) < 10 else 0
    found = next((each for each in calls if each[0].index + 1 == number), None)
    if found is None:
        numbers = ", ".join(str(c.index + 1) for c, _ in calls[-20:])
        raise UserError(f"there is no call {one_line(argument, 20)}; there {'are ' + numbers if numbers else 'are none yet'}")
    return unfolded(*found)


def _thoughts(session: ChatSession, argument: str) -> str:
    if argument not in ("", "on", "off"):
        raise UserError("/thoughts on, or /thoughts off")
    session.view.thoughts = argument != "off" if argument else not session.view.thoughts
    return "thoughts are shown" if session.view.thoughts else "thoughts are folded"


def _retry(session: ChatSession, _: str) -> str:
    session.again = True
    return ""


def _help(_session: ChatSession, _: str) -> str:
    width = max(len(c.usage) for c in COMMANDS.values())
    known = dict.fromkeys(COMMANDS.values())
    return "\n".join([*(f"{c.usage:{width}}  {c.help}" for c in known), _KEYS])


def _quit(session: ChatSession, _: str) -> str:
    session.ended = True
    return ""


_NEW = Command("/clear, /new", "begin a new conversation", _clear)
_LEAVE = Command("/quit, /exit", "leave", _quit)
COMMANDS: dict[str, Command] = {
    "help": Command("/help", "this list", _help),
    "model": Command("/model [NAME]", "show the model, or switch; the conversation goes on", _model, "models"),
    "tools": Command("/tools", "the tools that the model may call", _tools),
    "usage": Command("/usage", "tokens, money, turns", _usage),
    "image": Command("/image PATH", "attach an image to the next message; --none takes it back", _image, "paths"),
    "save": Command(
        "/save FILE", "write the conversation; --force overwrites; without FILE: where it was saved last", _save, "paths"
    ),
    "load": Command("/load FILE", "go on with a conversation that was saved", _load, "paths"),
    "undo": Command("/undo", "take back your last message and its answer", _undo),
    "retry": Command("/retry", "try again after an error or an interruption", _retry),
    "clear": _NEW,
    "new": _NEW,
    "fold": Command("/fold", "show calls on one line", _fold),
    "unfold": Command("/unfold [N]", "show arguments and results of call N, or of all, and of those to come", _unfold),
    "thoughts": Command("/thoughts on|off", "show the model's thoughts as they come", _thoughts),
    "quit": _LEAVE,
    "exit": _LEAVE,
}


def unfolded(call: ToolCall, result: ToolMessage | None) -> str:
    """A call with all its arguments and its whole result."""
    try:
        arguments = json.dumps(json.loads(call.effective, strict=False), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        arguments = arguments_of(call)
    said = "no result" if result is None else result.text
    mark = "failed: " if result is not None and result.is_error else ""
    return plain(f"{call.index + 1} {call.name} {arguments}\n→ {mark}{said}")


def _forced(argument: str) -> tuple[bool, str]:
    words = argument.split(" ")
    return _FORCE in words, " ".join(w for w in words if w != _FORCE).strip()


def _path(name: str) -> Path:
    try:
        return Path(name.strip("\"'")).expanduser()
    except RuntimeError as e:
        raise UserError(f"{name}: {e}") from None
