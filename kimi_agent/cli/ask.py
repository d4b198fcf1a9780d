"""One question on the terminal. prompt_toolkit is imported when the first one comes up."""

import asyncio
import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent

_QUIET = 0.2  # seconds without a key after which what was typed ahead is over: a terminal pastes in pieces


class Interrupted(Exception):
    """Ctrl-C at a prompt; the text is what was typed."""


async def ask_on_terminal(question: str, *, pastes_marked: bool = False) -> str:
    """One line, on the terminal behind standard input and standard error. What was typed ahead is no answer to a question that
    was not there yet: it is kept for the next prompt. Raises Interrupted for Ctrl-C, EOFError for Ctrl-D.

    `pastes_marked`: pastes were marked before, and are to be marked again.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.input.typeahead import store_typeahead
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.output import create_output

    prompt: PromptSession[str] = PromptSession(key_bindings=interrupting(KeyBindings()), output=create_output(stdout=sys.stderr))
    ahead: list[KeyPress] = []
    try:
        with prompt.input.raw_mode():
            await _drain(prompt.input, ahead)
        return await prompt.prompt_async(question, handle_sigint=False)
    finally:
        store_typeahead(prompt.input, ahead)
        if pastes_marked:
            mark_pastes()


async def _drain(given: "Input", ahead: "list[KeyPress]") -> None:
    """Until nothing comes any more: one read gives 1024 bytes at most, and the rest would answer. Raises Interrupted."""
    from prompt_toolkit.input.typeahead import get_typeahead
    from prompt_toolkit.keys import Keys

    ahead += get_typeahead(given)
    while not given.closed:
        waited = _waits(given)
        keys = given.read_keys()
        if any(k.key == Keys.ControlC for k in keys):  # earlier ones were signals
            raise Interrupted
        ahead += keys
        if waited or keys:  # half a paste is no key yet
            continue
        await asyncio.sleep(_QUIET)
        if not _waits(given):
            break
    ahead += given.flush_keys()


def _waits(given: "Input") -> bool:
    try:
        return bool(select.select([given.fileno()], [], [], 0)[0])
    except (OSError, ValueError):  # a console of Windows, whose keys are there at once
        return False


def mark_pastes(wanted: bool = True) -> None:
    """Has the terminal mark what is pasted, so that it is one key and never answers; or not any more."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        sys.stderr.write("\x1b[?2004h" if wanted else "\x1b[?2004l")
        sys.stderr.flush()


def interrupting(keys: "KeyBindings") -> "KeyBindings":
    """The same keys, with Ctrl-C raising Interrupted; in the search line it is what prompt_toolkit makes of it."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus

    @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER))
    def _(event: "KeyPressEvent") -> None:
        event.app.exit(exception=Interrupted(event.current_buffer.text), style="class:aborting")

    return keys
