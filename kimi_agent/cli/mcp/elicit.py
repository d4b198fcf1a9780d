"""What a server asks its user, asked on the terminal that a run is drawn on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.approve import Ask
from kimi_agent.cli.ask import Interrupted
from kimi_agent.observe.plain import exact

if TYPE_CHECKING:
    from kimi_agent.mcp.client.elicitation import Elicitation

Lend = Callable[[], AbstractAsyncContextManager[None]]


class TerminalElicitor:
    """An `Elicit`. Ctrl-D declines, Ctrl-C leaves the question open.

    Attributes:
        lend: gives the screen, where somebody draws on it.
    """

    def __init__(self, console: Console, ask: Ask) -> None:
        self._console, self._ask = console, ask
        self.lend: Lend = nullcontext

    async def __call__(self, asked: "Elicitation") -> Mapping[str, Any] | bool | None:
        """The values; False where the user declines, None where they do not answer."""
        from kimi_agent.mcp.client.terminal import fill_in

        async with self.lend():
            try:
                return await fill_in(asked, self._show, self._ask)
            except EOFError:
                return False
            except Interrupted:
                return None

    def _show(self, text: str) -> None:
        self._console.print(Styled(exact(text), "bold yellow" if text.startswith("?") else ""), soft_wrap=True)
