"""A server's question, on the terminal: field by field, with what it may hold; a page is shown with where it leads."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from kimi_agent.mcp.client.elicitation import Elicitation, host_of, misfit

Ask = Callable[[str], Awaitable[str]]
"""Shows a question and returns the line that was typed. Raises EOFError where nobody will answer."""
Show = Callable[[str], None]
_LOOKS = 0.05  # seconds between looks whether the terminal is free
_MOST = 2_000  # characters of a stranger's text that are shown

_waiting = deque[object]()  # for the one terminal that a process has; the first has it


async def ask_in_terminal(question: Elicitation) -> dict[str, Any] | bool | None:
    """As `MCPServer(elicit="terminal")` asks. Where standard input is no terminal there is nobody to ask: None."""
    if not sys.stdin.isatty():
        return None
    try:
        return await fill_in(question, lambda text: print(text, file=sys.stderr), _line)
    except EOFError:
        return None


async def fill_in(question: Elicitation, show: Show, ask: Ask) -> dict[str, Any] | bool | None:
    """The values of a form, True for a page that the user will visit, False where they decline. One question at a time, over all
    servers and event loops of the process; every line that is answered says whose it is. Raises what `ask` raises."""
    server = _plain(question.server)

    def asking(text: str) -> Awaitable[str]:
        return ask(f"{server} · {text}")

    async with _in_turn():
        show(f"? {server} asks: {_plain(question.message)}")
        if question.url is not None:
            return await _visit(question.url, show, asking)
        return await _form(question.schema or {}, show, asking)


@asynccontextmanager
async def _in_turn() -> AsyncGenerator[None]:
    """First come, first served. An `asyncio.Lock` serves one event loop only; runs in threads have their own."""
    ticket = object()
    _waiting.append(ticket)
    try:
        while _waiting[0] is not ticket:  # noqa: ASYNC110 - what frees it may be in another event loop
            await asyncio.sleep(_LOOKS)
        yield
    finally:
        _waiting.remove(ticket)


async def _visit(url: str, show: Show, ask: Ask) -> bool:
    host = host_of(url)
    if not host:
        show(f"  It wants you to visit an address that is made to deceive, or is no page; declined: {_plain(url)}")
        return False
    show(f"  It wants you to visit {host}: {_plain(url)}")
    return await _yes(ask, "have you been there? y yes · n decline: ")


async def _form(schema: Mapping[str, Any], show: Show, ask: Ask) -> dict[str, Any] | bool:
    fields = cast(Mapping[str, Mapping[str, Any]], schema.get("properties", {}))
    if not await _yes(ask, "answer it? y yes · n decline: "):
        return False
    values: dict[str, Any] = {}
    for name, field in fields.items():
        value = await _value(name, field, name in schema.get("required", ()), show, ask)
        if value is not None:
            values[name] = value
    return values


async def _yes(ask: Ask, question: str) -> bool:
    while True:
        word = (await ask(question)).strip().lower()
        if word in ("y", "yes", "n", "no"):
            return word.startswith("y")


async def _value(name: str, field: Mapping[str, Any], required: bool, show: Show, ask: Ask) -> Any:
    """One field, asked until it fits; None for one that is left out."""
    choices = _choices(field)
    told = [str(field.get("title") or name), str(field.get("description") or "")]
    told += [f"one of {', '.join(choices)}"] if choices else [str(field.get("type", ""))]
    told += [f"default {field['default']!r}"] if "default" in field else [] if required else ["may be left empty"]
    while True:
        text = (await ask(_plain(" · ".join(filter(None, told))) + ": ")).strip()
        if not text and ("default" in field or not required):
            return None
        value = _read(text, field, choices)
        problem = misfit({"type": "object", "properties": {name: field}}, {name: value})
        if not problem:
            return value
        show(f"  {_plain(problem)}")


def _choices(field: Mapping[str, Any]) -> dict[str, Any]:
    """What may be chosen, by what is shown for it."""
    items = cast(Mapping[str, Any], field.get("items", field) if field.get("type") == "array" else field)
    titled = cast(list[Mapping[str, Any]], items.get("oneOf") or items.get("anyOf") or [])
    if titled:
        return {str(each.get("title", each.get("const"))): each.get("const") for each in titled}
    values = cast(list[Any], items.get("enum") or [])
    names = cast(list[Any], items.get("enumNames") or values)
    return dict(zip(map(str, names), values, strict=False))


def _read(text: str, field: Mapping[str, Any], choices: Mapping[str, Any]) -> Any:
    match field.get("type"):
        case "array":
            return [choices.get(word.strip(), word.strip()) for word in text.split(",") if word.strip()]
        case "boolean" if text.lower() in ("y", "yes", "true", "n", "no", "false"):
            return text.lower()[0] in "yt"
        case "integer" | "number":
            return _number(text)
        case _:
            return choices.get(text, text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _plain(text: str) -> str:
    """A stranger's text, without what would steer the terminal, and not so much of it that the question scrolls away."""
    shown = "".join(c if c.isprintable() else " " for c in text[:_MOST])
    return shown if len(text) <= _MOST else f"{shown}… {len(text) - _MOST} more characters"


async def _line(question: str) -> str:
    """prompt_toolkit can be cancelled while it waits; a thread in `input` cannot, and is what is left without it."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.input.typeahead import clear_typeahead
        from prompt_toolkit.output import create_output
    except ImportError:
        _forget_typed()
        return await asyncio.to_thread(input, question)
    prompt = PromptSession[str](output=create_output(stdout=sys.stderr))
    clear_typeahead(prompt.input)
    _forget_typed()
    return await prompt.prompt_async(question)


def _forget_typed() -> None:
    """What was typed before a question was there is no answer to it: it was meant for another, of another server perhaps."""
    try:
        import termios
    except ImportError:  # Windows
        return
    with suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
