"""One question on the terminal. prompt_toolkit is imported when the first one comes up."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


class Interrupted(Exception):
    """Ctrl-C at a prompt; the text is what was typed."""


async def ask_on_terminal(question: str) -> str:
    """One line, on the terminal behind standard input and standard error. What was typed ahead is no answer to a question that
    was not there yet: it is kept for the next prompt. Raises Interrupted for Ctrl-C, EOFError for Ctrl-D."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.output import create_output

    prompt: PromptSession[str] = PromptSession(key_bindings=interrupting(KeyBindings()), output=create_output(stdout=sys.stderr))
    given = prompt.input
    with given.raw_mode():
        ahead = [*get_typeahead(given), *given.read_keys(), *given.flush_keys()]
    try:
        return await prompt.prompt_async(question, handle_sigint=False)
    finally:
        store_typeahead(given, ahead)


def interrupting(keys: "KeyBindings") -> "KeyBindings":
    """The same keys, with Ctrl-C raising Interrupted; in the search line it is what prompt_toolkit makes of it."""
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus

    @keys.add("c-c", filter=has_focus(DEFAULT_BUFFER))
    def _(event: "KeyPressEvent") -> None:
        event.app.exit(exception=Interrupted(event.current_buffer.text), style="class:aborting")

    return keys
