"""The answer as it comes: text with a little colour, thoughts and calls folded, what is under way on the last lines."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.chat.commands import unfolded
from kimi_agent.cli.chat.session import View
from kimi_agent.events import (
    ApprovalRequested,
    Event,
    Healed,
    InputReceived,
    ReasoningBegin,
    ReasoningDelta,
    ReasoningEnd,
    RunEnd,
    TextBegin,
    TextDelta,
    TextEnd,
    ToolBegin,
    ToolCallBegin,
    ToolCallEnd,
    ToolEnd,
    ToolLog,
    ToolProgress,
    TurnBegin,
    TurnEnd,
)
from kimi_agent.observe.markdown import Piece, StreamedMarkdown
from kimi_agent.observe.plain import arguments_of, healed, one_line, plain
from kimi_agent.observe.reports import is_worth_a_line, log_style, log_text, progress_text
from kimi_agent.observe.waiting import Waiting

_AND = " · "  # between a call and how it gets on
_MODEL = ""  # the key of what the model does, among calls by their ids


class ChatRenderer:
    """Draws events below each other; nothing that was drawn is drawn again, so the screen can be copied and scrolled."""

    def __init__(self, console: Console, view: View) -> None:
        self._console, self._view = console, view
        self._waiting = Waiting(console)
        self._under_way: dict[str, tuple[str, float]] = {}
        self._markdown = StreamedMarkdown()
        self._speaking = False
        self._line_open = False

    @contextmanager
    def paused(self) -> Generator[None]:
        """The screen is somebody else's, who asks the user something."""
        self._waiting.stop()
        self._end_line()
        yield
        self._show_waiting()

    def close(self) -> None:
        """The run is over, however it ended: the cursor stands at the beginning of a line."""
        self._waiting.stop()
        self._draw(self._markdown.end())
        self._end_line()
        self._under_way.clear()
        self._speaking = False

    def __call__(self, event: Event) -> None:
        """Draws one event. Runs inside a call are part of that call."""
        if event.parent_call_id is not None:
            return
        match event:
            case TextBegin() | TextDelta() | TextEnd():
                self._text(event)
            case ReasoningBegin() | ReasoningDelta() | ReasoningEnd():
                self._thought(event)
            case TurnBegin():
                self._begun(_MODEL, "waiting for the model")
            case ToolCallBegin(_, name):
                self._begun(_MODEL, f"calling {name}")
            case ToolCallEnd(call, True):
                self._print(Styled(f"✂ {plain(call.name)} was cut off and does not run", "yellow"))
            case TurnEnd():
                self._over(_MODEL)
            case ToolBegin(call):
                self._begun(call.id, f"{call.name}({arguments_of(call)})")
            case ToolProgress():
                self._progress(event)
            case ToolLog():
                if is_worth_a_line(event) or not self._view.folded:
                    self._print(Styled(f"! {log_text(event)}", log_style(event)))
            case ToolEnd():
                self._result(event)
            case ApprovalRequested(call, reason):
                self._under_way.pop(call.id, None)
                self._print(Styled(f"⏸ {plain(call.name)} waits: {plain(reason)}", "yellow"))
            case InputReceived(message):
                self._print(Styled(f"› {plain(message.text)}", "bold"))
            case Healed(kind) if kind == "broken_stream" or self._view.thoughts:
                self._print(Styled(healed(event), "dim yellow"))
            case RunEnd():
                self.close()
            case _:
                pass

    def _text(self, event: TextBegin | TextDelta | TextEnd) -> None:
        match event:
            case TextBegin():
                self._under_way.pop(_MODEL, None)
                self._waiting.stop()
                self._speaking = True
            case TextDelta(text):
                self._draw(self._markdown.feed(plain(text)))
            case TextEnd():
                self._draw(self._markdown.end())
                self._end_line()
                self._speaking = False
                self._show_waiting()

    def _thought(self, event: ReasoningBegin | ReasoningDelta | ReasoningEnd) -> None:
        match event:
            case ReasoningBegin():
                self._begun(_MODEL, "thinking")
                if self._view.thoughts:
                    self._waiting.stop()
                    self._speaking = True
            case ReasoningDelta(text):
                if self._view.thoughts and self._speaking:
                    self._draw([(plain(text), "dim italic")])
            case ReasoningEnd():
                seconds = time.monotonic() - self._under_way.pop(_MODEL, ("", time.monotonic()))[1]
                self._speaking = False
                self._end_line()
                if not self._view.thoughts:
                    self._print(Styled(f"∴ thought for {seconds:.1f} s", "dim"))
                self._show_waiting()

    def _result(self, event: ToolEnd) -> None:
        self._under_way.pop(event.call.id, None)
        failed = event.result.is_error
        mark = ("✗ " if failed else "● ", "bold red" if failed else "bold green")
        number = (f"{event.call.index + 1} ", "dim")
        took = (f" {event.seconds:.1f} s" if event.seconds >= 0.1 else "", "dim")
        if not self._view.folded:
            self._print(Styled.assemble(mark, (unfolded(event.call, event.result), "red" if failed else ""), took))
            return
        width = max(self._console.width - 1, 20)
        line = Styled.assemble(
            mark,
            number,
            (plain(event.call.name), "bold"),
            (one_line(f"({arguments_of(event.call)})", width // 2), ""),
            took,
            (" → ", "dim"),
            (one_line(event.result.text, width), "red" if failed else "dim"),
        )
        line.truncate(width, overflow="ellipsis")
        self._print(line)

    def _progress(self, event: ToolProgress) -> None:
        if event.call_id in self._under_way and (said := progress_text(event)):
            what, begun = self._under_way[event.call_id]
            self._under_way[event.call_id] = (f"{what.partition(_AND)[0]}{_AND}{said}", begun)
            self._show_waiting()

    def _begun(self, key: str, what: str) -> None:
        self._under_way[key] = (what, time.monotonic())
        self._show_waiting()

    def _over(self, key: str) -> None:
        self._under_way.pop(key, None)
        self._show_waiting()

    def _show_waiting(self) -> None:
        """Not while the model speaks: its line is open."""
        if self._speaking:
            return
        if self._under_way:
            self._end_line()
            self._waiting.show(self._under_way.values())
        else:
            self._waiting.stop()

    def _draw(self, pieces: list[Piece]) -> None:
        for text, style in pieces:
            self._console.print(Styled(text, style), end="", soft_wrap=True)
            self._line_open = not text.endswith("\n")

    def _print(self, text: Styled) -> None:
        self._waiting.stop()
        self._end_line()
        self._console.print(text, soft_wrap=True)
        self._show_waiting()

    def _end_line(self) -> None:
        if self._line_open:
            self._console.print()
            self._line_open = False


class PlainRenderer:
    """For a pipe: what the model says, and nothing else."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def paused(self) -> Generator[None]:
        """Draws nothing meanwhile."""
        yield

    def close(self) -> None:
        """Nothing is left open."""

    def __call__(self, event: Event) -> None:
        """Draws one event."""
        if event.parent_call_id is None:
            if isinstance(event, TextDelta):
                self._console.print(Styled(plain(event.text)), end="", soft_wrap=True)
            elif isinstance(event, TextEnd):
                self._console.print()
