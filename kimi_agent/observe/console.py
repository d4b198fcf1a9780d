"""A run on a terminal, as it happens, drawn with rich."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.events import (
    ApprovalRequested,
    Event,
    Healed,
    InputReceived,
    ReasoningBegin,
    ReasoningDelta,
    ReasoningEnd,
    RunBegin,
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
)
from kimi_agent.messages import Message, ToolCall, UserMessage
from kimi_agent.observe.plain import arguments_of, healed, plain, shortened
from kimi_agent.observe.reports import is_worth_a_line, log_style, log_text, progress_text
from kimi_agent.observe.waiting import Waiting

_PENDING = "stopped: calls wait for approval: kimi-agent asks for it at a terminal; in Python agent.resume(…) gives it"


class ConsoleRenderer:
    """Draws events: `with ConsoleRenderer() as draw: async for event in stream: draw(event)`.

    What tools and models say is shown as text, never as markup, and without control characters that a terminal would obey.
    """

    def __init__(self, console: Console | None = None, *, verbose: bool = False, answer: bool = True) -> None:
        """`verbose` shows thoughts, whole results, usage and what was healed. `answer`: whether what the model says is shown."""
        self._console = console or Console(highlight=False)
        self._verbose = verbose
        self._answer = answer
        self._waiting = Waiting(self._console)
        self._running: dict[str, _Running] = {}
        self._line_open = False

    def __enter__(self) -> "ConsoleRenderer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._waiting.stop()
        self._end_line()

    @contextmanager
    def paused(self) -> Generator[None]:
        """The screen is somebody else's, who asks the user something; nothing may be drawn meanwhile."""
        self._waiting.stop()
        self._end_line()
        yield

    def __call__(self, event: Event) -> None:
        """Draws one event."""
        match event:
            case RunBegin(messages):
                self._asked(messages)
            case TurnBegin():
                self._wait("thinking")
            case ToolCallBegin(_, name):
                self._wait(f"calling {name}")
            case TextBegin() | ReasoningBegin():
                self._waiting.stop()
            case TextDelta(text):
                if self._answer:
                    self._write(text)
            case ReasoningDelta(text):
                if self._verbose:
                    self._write(text, "dim italic")
            case TextEnd() | ReasoningEnd():
                self._end_line()
            case ToolCallEnd(call, cut):
                self._print(Styled.assemble(("✂ cut off: " if cut else "→ ", "bold cyan"), *_call(call)))
            case ToolBegin(call):
                self._running[call.id] = _Running(f"running {call.name}", time.monotonic())
                self._show_running()
            case ToolProgress():
                self._progress(event)
            case ToolLog():
                if self._verbose or is_worth_a_line(event):
                    self._print(Styled(f"  ! {log_text(event)}", log_style(event)))
            case ToolEnd():
                self._result(event)
            case ApprovalRequested(call, reason):
                self._print(Styled(f"⏸ {plain(call.name)} waits: {plain(reason)}", "yellow"))
            case InputReceived(message):
                self._print(Styled(f"› {plain(message.text)}", "bold"))
            case Healed(kind):
                if self._verbose or kind == "broken_stream":  # what was said is said again: nobody should wonder why
                    self._print(Styled(healed(event), "dim yellow"))
            case RunEnd():
                self._end(event)
            case _:
                pass

    def _asked(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            if isinstance(message, UserMessage):
                self._print(Styled(f"› {plain(message.text)}", "bold"))

    def _write(self, text: str, style: str = "") -> None:
        self._console.print(Styled(plain(text), style), end="", soft_wrap=True)
        self._line_open = True

    def _print(self, text: Styled) -> None:
        self._waiting.stop()
        self._end_line()
        self._console.print(text, soft_wrap=True)

    def _end_line(self) -> None:
        if self._line_open:
            self._console.print()
            self._line_open = False

    def _wait(self, what: str) -> None:
        """A spinner while nothing else is to be seen; on a terminal only."""
        self._end_line()
        self._waiting.show([(what, time.monotonic())])

    def _progress(self, event: ToolProgress) -> None:
        """A line for each new thing that is said; the numbers go on in the last line."""
        text = progress_text(event)
        running = self._running.get(event.call_id)
        if event.text and (running is None or event.text != running.said):
            self._print(Styled(f"  … {text}", "dim"))
        if running is not None:
            running.progress, running.said = text, event.text or running.said
            if not self._line_open:  # the model speaks
                self._show_running()

    def _show_running(self) -> None:
        self._end_line()
        self._waiting.show([(f"{r.what} · {r.progress}" if r.progress else r.what, r.begun) for r in self._running.values()])

    def _result(self, event: ToolEnd) -> None:
        self._running.pop(event.call.id, None)
        text = plain(event.result.text)
        if not self._verbose:
            text = shortened(text)
        mark, style = ("✗ ", "bold red") if event.result.is_error else ("← ", "bold green")
        took = f"  ({event.seconds:.2f} s)" if event.seconds >= 0.1 else ""
        self._print(Styled.assemble((mark, style), (text, "red" if event.result.is_error else ""), (took, "dim")))

    def _end(self, event: RunEnd) -> None:
        self._waiting.stop()
        self._end_line()
        if event.stop_reason == "pending":
            self._print(Styled(_PENDING, "yellow"))
        elif event.stop_reason not in ("completed", "error"):
            self._print(Styled(f"stopped: {plain(event.stop_reason)}", "yellow"))
        if self._verbose:
            used = event.usage
            cost = f", ${used.cost_usd:.4f}" if used.cost_usd else ""
            self._print(
                Styled(
                    f"{used.requests} requests, {used.input_tokens} tokens in ({used.cached_tokens} cached), "
                    f"{used.output_tokens} out{cost}",
                    "dim",
                )
            )


@dataclass(slots=True)
class _Running:
    """A call under way: `said` is the last text that it reported, `progress` that and its numbers."""

    what: str
    begun: float
    progress: str = ""
    said: str = ""


def _call(call: ToolCall) -> list[tuple[str, str]]:
    return [(plain(call.name), "bold"), (f"({shortened(arguments_of(call))})", "")]
