"""A chat: reads a message or a command, has it answered, and does not end because something went wrong."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.approve import Ask, answer_in
from kimi_agent.cli.ask import Interrupted
from kimi_agent.cli.chat.commands import is_command, run_command
from kimi_agent.cli.chat.images import images_in
from kimi_agent.cli.chat.input import Reader
from kimi_agent.cli.chat.session import ChatSession
from kimi_agent.cli.exits import OK, of_error, of_stop_reason
from kimi_agent.cli.interrupt import not_interrupted
from kimi_agent.cli.watch import Draw, Watch
from kimi_agent.errors import UserError
from kimi_agent.events import Event, RunEnd
from kimi_agent.messages import UserMessage
from kimi_agent.observe.plain import error_line, plain
from kimi_agent.redact import redact
from kimi_agent.stream import RunStream

_LINE_KEPT, _HOW_TO_LEAVE = "(the line is kept: press Up)", "Ctrl-D or /quit leaves; Ctrl-C interrupts an answer"
_WHY = {
    "cancelled": "interrupted; what was said stays: go on, /retry or /undo",
    "length": "the answer was cut off: it is too long for the model",
    "pending": "a call waits for an approval or a result that nobody here can give: the model is told so when you go on",
    "turns": "stopped: the limit of turns is reached (--max-turns); /retry goes on",
}


class ChatDraw(Draw, Protocol):
    """What draws answers."""

    def close(self) -> None:
        """The run is over, however it ended."""
        ...


@dataclass(slots=True, kw_only=True)
class Chat:
    """A session at a terminal, or at a pipe.

    Attributes:
        session: what is said.
        reader: where messages come from.
        draw: where answers go; `watch` draws with it.
        notes: where everything else goes.
        ask: asks a person; None where there is none.
        commands: whether a line that begins with / is a command.
        code: exit code of what went wrong last; 0 where nothing did, or trying again mended it.
        asked: runs so far.
    """

    session: ChatSession
    reader: Reader
    draw: ChatDraw
    watch: Watch
    notes: Console
    ask: Ask | None = None
    commands: bool = True
    code: int = OK
    asked: int = 0

    async def converse(self) -> int:
        """Until the user leaves; the exit code, which tells of failed answers where no person saw them."""
        with not_interrupted() if self.reader.interactive else nullcontext():
            while not self.session.ended:
                try:
                    line = await self.reader.next()
                except EOFError:
                    break
                except Interrupted as e:
                    self._note(_LINE_KEPT if str(e).strip() else _HOW_TO_LEAVE)
                    continue
                try:
                    await self._heard(line.strip())
                except Interrupted:
                    self._note(_LINE_KEPT)
                except Exception as e:  # whatever it is, the conversation is worth more
                    self._error(e)
        return OK if self.reader.interactive else self.code

    async def _heard(self, line: str) -> None:
        if not line:
            return
        if self.commands and is_command(line):
            said = run_command(self.session, line)
            if said := said if isinstance(said, str) else await said:
                self.notes.print(Styled(plain(said)), soft_wrap=True)
            if self.session.again:
                message = self.session.begin()
                self.code = OK
                await self._answer(message)
            return
        text = line[1:] if self.commands and line.startswith("//") else line
        message, notes = self.session.compose(text, find_images=await self._may_attach(text))
        for note in notes:
            self._note(note)
        self.session.unsent = None
        await self._answer(message)

    async def _may_attach(self, text: str) -> bool:
        """A text that was pasted may be somebody else's: an image that it names is sent only if the user says so."""
        if self.ask is None or not (self.reader.pasted or "\n" in text) or not self.session.finds_images:
            return True
        found, _ = images_in(text)
        if not found:
            return True
        try:
            answer, _ = answer_in(
                await self.ask(f"the text names {', '.join(plain(str(f.path)) for f in found)}; send it too? y/n: ")
            )
        except EOFError:
            return False
        return answer == "yes"

    async def _answer(self, message: UserMessage | None) -> None:
        """One run. Whatever it raises, the conversation goes on."""
        session = self.session
        stream: RunStream[object] = session.agent.stream([message] if message else None, messages=session.messages)
        self.asked += 1
        try:
            with self.reader.answering():
                await self.watch(stream)
        except asyncio.CancelledError:
            raise
        except Exception as e:
            self.draw.close()
            session.failed(e, message, stream.messages)
            self._error(e)
            self._note("the conversation is kept: /retry tries again")
            return
        finally:
            self.draw.close()
        session.took(stream.result)
        reason = stream.result.stop_reason
        if reason != "completed":
            self.code = of_stop_reason(reason)
            self._note(_WHY.get(reason, f"stopped: {reason}"))
            self.session.ended = reason == "cancelled" and not self.reader.interactive

    def _error(self, error: Exception) -> None:
        self.code = of_error(error)
        name = "" if isinstance(error, UserError) or of_error(error) != 1 else f"{type(error).__name__}: "
        error_line(self.notes, redact(f"{name}{error}"))

    def _note(self, text: str) -> None:
        self.notes.print(Styled(plain(text), "dim"), soft_wrap=True)


class Counted:
    """Draws, and counts what is used, whether a run ends well or not."""

    def __init__(self, draw: ChatDraw, session: ChatSession) -> None:
        self._draw, self._session = draw, session
        self.paused, self.close = draw.paused, draw.close

    def __call__(self, event: Event) -> None:
        """Draws one event."""
        if isinstance(event, RunEnd) and event.parent_call_id is None:
            self._session.usage += event.usage
        self._draw(event)
