"""What the user types: the editing line of a terminal, or the lines of a pipe."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from kimi_agent.cli.ask import Interrupted, interrupting, mark_pastes
from kimi_agent.cli.chat.commands import COMMANDS
from kimi_agent.cli.chat.images import names_image
from kimi_agent.cli.models import SPECS
from kimi_agent.errors import UserError

_IN_LINE = has_focus(DEFAULT_BUFFER)  # in the search line they are what prompt_toolkit makes of them

_LONGEST = 10_000_000  # characters of a line
_LINES = 100  # that are read ahead


class Reader(Protocol):
    """Where messages come from.

    Attributes:
        interactive: whether a person sits there, who goes on after an interruption.
        pasted: whether the last message holds what was pasted, other than the name of one image, as a dragged file is.
    """

    interactive: bool
    pasted: bool

    async def next(self) -> str:
        """The next message. Raises EOFError at the end, and Interrupted for Ctrl-C."""
        ...

    def answering(self) -> AbstractContextManager[None]:
        """While an answer is drawn."""
        ...


class TerminalReader:
    """A line with history, reverse search, completion and several lines."""

    interactive = True

    def __init__(self, history: History | None = None) -> None:
        self.pasted = False
        self._prompt: PromptSession[str] = PromptSession(
            message="› ",
            prompt_continuation="  ",
            multiline=True,
            history=history or InMemoryHistory(),
            completer=ChatCompleter(),
            complete_while_typing=False,
            key_bindings=_keys(self._paste),
            reserve_space_for_menu=0,
        )

    async def next(self) -> str:
        """What is typed until Enter. What Ctrl-C takes off the line stays in the history."""
        self.pasted = False
        try:
            return await self._prompt.prompt_async(handle_sigint=False)
        except Interrupted as e:
            if text := str(e).strip():
                self._prompt.history.append_string(text)
            raise

    def _paste(self, text: str) -> None:
        self.pasted = self.pasted or not names_image(text.strip().strip("\"'"))

    @contextmanager
    def answering(self) -> Generator[None]:
        """What is typed meanwhile is not echoed into the answer, and stands on the next line."""
        mark_pastes()
        with _unechoed(sys.stdin.fileno()):
            yield


class PipeReader:
    """Each line of standard input is a message."""

    interactive = pasted = False

    def __init__(self) -> None:
        """Raises UserError where there is no standard input."""
        if sys.stdin is None:
            raise UserError("standard input is closed: give the messages through a pipe")
        self._lines: asyncio.Queue[str | UserError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_LINES)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="kimi-agent-stdin", daemon=True).start()

    def _read(self) -> None:
        """In a daemon thread with a file object of its own: nobody waits for it, or for its lock, when the process ends."""
        with open(os.dup(sys.stdin.fileno()), encoding="utf-8", errors="replace") as stdin:
            while line := stdin.readline(_LONGEST):
                if len(line) == _LONGEST and not line.endswith("\n"):
                    self._put(UserError(f"a line of standard input is longer than {_LONGEST:,} characters"))
                    return
                self._put(line)
        self._put(None)

    def _put(self, line: str | UserError | None) -> None:
        """Waits where the chat is slower than the pipe: what waits there takes no memory here."""
        self._room.acquire()
        with suppress(RuntimeError):  # the chat is over
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)

    async def next(self) -> str:
        """The next line. Raises UserError for one that is too long."""
        line = await self._lines.get()
        self._room.release()
        if line is None:
            raise EOFError
        if isinstance(line, UserError):
            raise line
        return line

    def answering(self) -> AbstractContextManager[None]:
        """Nothing is to be done."""
        return nullcontext()


class ChatCompleter(Completer):
    """Names of commands, what may stand behind them, and paths."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """For what stands before the cursor."""
        text = document.text_before_cursor
        name, space, rest = text.partition(" ")
        if text.startswith("/") and not space and "/" not in text[1:]:
            for each in COMMANDS:
                if each.startswith(text[1:].lower()):
                    yield Completion("/" + each, start_position=-len(text), display_meta=COMMANDS[each].help)
            return
        command = COMMANDS.get(name[1:]) if name.startswith("/") and space else None
        if command is not None and command.completes == "models":
            yield from (Completion(spec, start_position=-len(rest)) for spec in SPECS if spec.startswith(rest))
            return
        word = rest if command is not None and command.completes == "paths" else text.split(" ")[-1]
        if command is not None or "/" in word or word.startswith("~"):
            yield from self._paths.get_completions(Document(word.lstrip("\"'")), complete_event)


def _keys(pasted: Callable[[str], None]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.BracketedPaste, filter=_IN_LINE)
    def _(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(text)
        pasted(text)

    @keys.add("enter", filter=_IN_LINE)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=_IN_LINE)
    @keys.add("c-j", filter=_IN_LINE)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return interrupting(keys)


@contextmanager
def _unechoed(terminal: int) -> Generator[None]:
    """Keys are neither shown nor changed, and survive a Ctrl-C; the next prompt reads them."""
    try:
        import termios
    except ImportError:
        yield
        return
    before: list[Any] = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[0] &= ~termios.ICRNL
    quiet[3] = (quiet[3] & ~(termios.ECHO | termios.ICANON)) | termios.NOFLSH | termios.ISIG
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
