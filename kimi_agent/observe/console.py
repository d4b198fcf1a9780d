"""A run on a terminal, as it happens, drawn with rich."""

import json
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.text import Text as Styled

from kimi_agent.events import (
    ApprovalRequested,
    Event,
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
    ToolProgress,
    TurnBegin,
)
from kimi_agent.messages import Message, ToolCall, UserMessage

_RESULT_LINES, _RESULT_CHARS = 6, 500


class ConsoleRenderer:
    """Draws events: `with ConsoleRenderer() as draw: async for event in stream: draw(event)`.

    What tools and models say is shown as text, never as markup, and without control characters that a terminal would obey.
    """

    def __init__(self, console: Console | None = None, *, verbose: bool = False) -> None:
        """`verbose` shows thoughts, whole results and usage."""
        self._console = console or Console(highlight=False)
        self._verbose = verbose
        self._waiting: Live | None = None
        self._line_open = False

    def __enter__(self) -> "ConsoleRenderer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop_waiting()
        self._end_line()

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
                self._stop_waiting()
            case TextDelta(text):
                self._write(text)
            case ReasoningDelta(text):
                if self._verbose:
                    self._write(text, "dim italic")
            case TextEnd() | ReasoningEnd():
                self._end_line()
            case ToolCallEnd(call, cut):
                self._print(Styled.assemble(("✂ cut off: " if cut else "→ ", "bold cyan"), *_call(call)))
            case ToolBegin(call):
                self._wait(f"running {call.name}")
            case ToolProgress(_, text):
                self._print(Styled(f"  … {_plain(text)}", "dim"))
            case ToolEnd():
                self._result(event)
            case ApprovalRequested(call, reason):
                self._print(Styled(f"⏸ {_plain(call.name)} waits: {_plain(reason)}", "yellow"))
            case InputReceived(message):
                self._print(Styled(f"› {_plain(message.text)}", "bold"))
            case RunEnd():
                self._end(event)
            case _:
                pass

    def _asked(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            if isinstance(message, UserMessage):
                self._print(Styled(f"› {_plain(message.text)}", "bold"))

    def _write(self, text: str, style: str = "") -> None:
        self._console.print(Styled(_plain(text), style), end="", soft_wrap=True)
        self._line_open = True

    def _print(self, text: Styled) -> None:
        self._stop_waiting()
        self._end_line()
        self._console.print(text, soft_wrap=True)

    def _end_line(self) -> None:
        if self._line_open:
            self._console.print()
            self._line_open = False

    def _wait(self, what: str) -> None:
        """A spinner while nothing else is to be seen; on a terminal only."""
        self._stop_waiting()
        self._end_line()
        if self._console.is_terminal:
            spinner = Spinner("dots", text=Styled(f"{_plain(what)} …", "dim"))
            self._waiting = Live(spinner, console=self._console, transient=True, refresh_per_second=12)
            self._waiting.start()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def _result(self, event: ToolEnd) -> None:
        text = _plain(event.result.text)
        if not self._verbose:
            text = _shortened(text)
        mark, style = ("✗ ", "bold red") if event.result.is_error else ("← ", "bold green")
        took = f"  ({event.seconds:.2f} s)" if event.seconds >= 0.1 else ""
        self._print(Styled.assemble((mark, style), (text, "red" if event.result.is_error else ""), (took, "dim")))

    def _end(self, event: RunEnd) -> None:
        self._stop_waiting()
        self._end_line()
        if event.stop_reason == "pending":
            self._print(Styled("stopped: calls wait for approval, which agent.resume(…) in Python can give", "yellow"))
        elif event.stop_reason not in ("completed", "error"):
            self._print(Styled(f"stopped: {_plain(event.stop_reason)}", "yellow"))
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


def _call(call: ToolCall) -> list[tuple[str, str]]:
    """`name(key=value, …)`, or the raw text where the arguments are no object."""
    try:
        arguments: Any = json.loads(call.arguments, strict=False)
        shown = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in arguments.items())
    except (ValueError, AttributeError, RecursionError):
        shown = call.arguments
    return [(_plain(call.name), "bold"), (f"({_shortened(_plain(shown))})", "")]


def _shortened(text: str) -> str:
    lines = text.splitlines()
    if len(lines) > _RESULT_LINES:
        text = "\n".join([*lines[:_RESULT_LINES], f"… {len(lines) - _RESULT_LINES} more lines"])
    return text if len(text) <= _RESULT_CHARS else text[:_RESULT_CHARS] + f"… {len(text) - _RESULT_CHARS} more characters"


# Overrides of the writing direction let one text be read as another (CVE-2021-42574); separators end lines unseen.
_DECEPTIVE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2028\u2029\u2066\u2067\u2068\u2069\ufeff")


def _plain(text: str) -> str:
    """Without the characters by which a text could move the cursor, recolour the screen, set the title or reverse the line."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160 and c not in _DECEPTIVE))


def error_line(console: Console, text: str) -> None:
    """One red line."""
    console.print(f"[bold red]error:[/] {escape(_plain(text))}", soft_wrap=True)
