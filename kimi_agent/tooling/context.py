"""What a tool, an instruction, a filter or a hook may know of the run that it is part of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, Content, Message
from kimi_agent.settings import ModelSettings

Deps = TypeVar("Deps", default=Any)


class RunView(Protocol):
    """The part of a run that a context shows."""

    run_id: str
    parent_call_id: str | None

    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def turn(self) -> int: ...
    def inject(self, content: Content) -> None: ...
    def cancel(self, reason: str = "cancelled") -> None: ...
    def report(self, call_id: str, text: str, progress: float | None = None, total: float | None = None) -> None: ...
    def log(self, call_id: str, level: str, text: str, source: str = "") -> None: ...
    async def ask_model(
        self, call_id: str, messages: Sequence[Message], instructions: str = "", settings: ModelSettings | None = None
    ) -> AssistantMessage: ...


@dataclass(frozen=True, slots=True)
class RunContext(Generic[Deps]):
    """Passed to every function that has a parameter annotated with it: `def look(ctx: RunContext[Db], name: str)`.

    Attributes:
        deps: what was passed as `deps=` to the run.
        run: the run; use the properties below.
        call_id: of the call that is being run; unique, and stable when a run is resumed: an idempotency key. Empty outside a tool.
        tool_name: of the tool that is being run; empty outside a tool.
        definition: of a tool that is somebody else's: whose it is, and a digest of what it is said to do; "" for one's own.
        retry: how many times this tool has asked the model to try again, in succession.
    """

    deps: Deps
    run: RunView = field(repr=False)
    call_id: str = ""
    tool_name: str = ""
    retry: int = 0
    definition: str = ""

    @property
    def run_id(self) -> str:
        """The run's name, unique in the world."""
        return self.run.run_id

    @property
    def turn(self) -> int:
        """Number of turns that have ended."""
        return self.run.turn

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far."""
        return self.run.messages

    @property
    def usage(self) -> Usage:
        """What the run has used so far."""
        return self.run.usage

    def inject(self, content: Content) -> None:
        """Adds a user message before the next turn."""
        self.run.inject(content)

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends the run with this stop reason; what is under way is cancelled."""
        self.run.cancel(reason)

    def report(self, text: str = "", progress: float | None = None, total: float | None = None) -> None:
        """Tells those who watch the run how a long tool gets on (`ToolProgress`): in words, and as `progress` of `total` in any
        unit. May be called from the tool's thread."""
        self.run.report(self.call_id, text, progress, total)

    def log(self, text: str, level: str = "info", source: str = "") -> None:
        """Notes something for those who watch the run (`ToolLog`), not for the model; may be called from the tool's thread."""
        self.run.log(self.call_id, level, text, source)

    async def ask_model(
        self, messages: Sequence[Message], *, instructions: str = "", settings: ModelSettings | None = None
    ) -> AssistantMessage:
        """Asks the run's model something apart: it sees these messages only, after the instructions, never the run's history,
        instructions or tools. Several may be asked at once. From the run's event loop, so from an async function.

        What it uses is part of the run's usage and counts against its limits, as a turn does. The answer is not part of the
        conversation, and no events tell of it; calls that the model makes all the same are left out. A run that is cancelled, or
        a call that is out of time, cancels the request.

        The run's hooks see the request (`before_model`) and the answer (`after_model`), under this `call_id`. A hook that asks the
        model inside one of these is left out of what it asked, so that it is not asked for ever; the others see that too.

        Args:
            messages: at least one; calls in them need no results, which are filled in.
            instructions: a system message before them.
            settings: over those of the run, of which `response_format`, `tool_choice`, `prefill` and `stop` do not hold here.

        Raises UserError where a limit is reached or the run is over, and ProviderError for what the endpoint does. A tool that
        lets them pass gives an error result; outside a tool a limit ends the run, with the limit as stop reason.
        """
        return await self.run.ask_model(self.call_id, messages, instructions, settings)
