"""Calls of tools that need approval are asked for on the terminal."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.ask import Interrupted
from kimi_agent.cli.watch import Watch
from kimi_agent.messages import ToolCall
from kimi_agent.observe.plain import exact, plain
from kimi_agent.tooling.approval import Approve, Decision, Decline
from kimi_agent.tooling.context import RunContext

Ask = Callable[[str], Awaitable[str]]
"""Shows a question and returns the line that was typed. Raises Interrupted for Ctrl-C and EOFError for Ctrl-D."""

QUESTION = "run it? y yes · a always for this tool · n no, or n and why: "


class TerminalApprover:
    """An `Approver`. "Always" holds for a tool until the process ends."""

    def __init__(self, watch: Watch, console: Console, ask: Ask) -> None:
        self._watch, self._console, self._ask = watch, console, ask
        self._always: set[tuple[str, str]] = set()

    async def __call__(self, context: RunContext[Any], call: ToolCall, arguments: dict[str, Any]) -> Decision:
        """Ctrl-C declines and ends the run; Ctrl-D declines."""
        async with self._watch.lent():
            tool = (call.name, context.definition)  # a name may be another server's tool in the next run
            if tool in self._always:
                return Approve()
            self._show(call, context.definition)
            try:
                return await self._answer(tool)
            except EOFError:
                return Decline("no answer")
            except Interrupted:
                context.cancel()
                return Decline("interrupted")

    def _show(self, call: ToolCall, definition: str) -> None:
        """All of the arguments, unseen characters too: nobody can approve what was left out."""
        whose = f" (MCP server {plain(definition.partition('/')[0])})" if definition else ""
        self._console.print(
            Styled.assemble(("? ", "bold yellow"), (plain(call.name), "bold"), whose, " needs your approval"), soft_wrap=True
        )
        self._console.print(Styled(_indented(call)), soft_wrap=True)

    async def _answer(self, tool: tuple[str, str]) -> Decision:
        while True:
            word, reason = answer_in(await self._ask(QUESTION))
            if word == "no":
                return Decline(reason)
            if word == "always":
                self._always.add(tool)
            if word is not None:
                return Approve()


def answer_in(text: str) -> tuple[Literal["yes", "always", "no"] | None, str]:
    """What was meant, and the reason behind a "no". None where it was neither: it is asked again, never guessed."""
    word, _, rest = text.strip().partition(" ")
    match word.lower().rstrip(",:;."):
        case "y" | "yes" if not rest:
            return "yes", ""
        case "a" | "always" if not rest:
            return "always", ""
        case "n" | "no":
            return "no", rest.strip()
        case _:
            return None, ""


def _indented(call: ToolCall) -> str:
    try:
        shown = json.dumps(json.loads(call.effective, strict=False), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = call.effective
    return "\n".join("  " + line for line in exact(shown).splitlines())
