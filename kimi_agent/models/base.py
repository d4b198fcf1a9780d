"""The seam between the loop and an endpoint: `Model`, what it is asked (`ModelRequest`), what its family can do (`Profile`)."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from kimi_agent.limits import Usage
from kimi_agent.messages import Message
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.parts import WirePart


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What the model is told of a tool: `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request.

    Attributes:
        messages: a legal history, instructions first.
        tools: what the model may call.
        settings: agent and run merged.
        known_tokens: tokens of a leading part of the messages, as the endpoint itself counted them in the last answer, and
            `known_messages`, how many messages that covers; 0 where nothing is known.
        conversation_id: stable over the turns of one conversation, for prompt caches.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    settings: ModelSettings = field(default_factory=ModelSettings)
    known_tokens: int = 0
    known_messages: int = 0
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    cached: float
    output: float

    def cost(self, usage: Usage) -> float:
        """US dollars for these tokens."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (fresh * self.input + usage.cached_tokens * self.cached + usage.output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a model family can do: data, never behaviour.

    Attributes:
        context_window: tokens of prompt and answer together, if known.
        max_output: most tokens of one answer, if bounded below the context.
        call_ids: how calls are named on the wire: Kimi's `functions.{name}:{index}` or our own ids.
        fixed_sampling: sampling parameters that the model fixes: sending another value is refused, so they are not sent.
        thinking: how thinking is switched: Moonshot's `thinking` object, a chat template's keyword, or not at all.
        thinks_by_default: whether the model thinks where nothing is said.
        echo_reasoning: whether assistant turns must carry their `reasoning_content` back.
        forced_tool_choice: whether "required" and a tool's name may be sent while thinking is on.
        image_input: whether messages may hold images.
        image_in_tool_result: whether a *tool* message may; otherwise the images follow in a user message.
        output_modes: how a typed answer can be asked for; the first is what it does best.
        price: for counting money.
    """

    context_window: int | None = None
    max_output: int | None = None
    call_ids: Literal["kimi", "own"] = "own"
    fixed_sampling: frozenset[str] = frozenset()
    thinking: Literal["moonshot", "chat_template", None] = None
    thinks_by_default: bool = False
    echo_reasoning: bool = True
    forced_tool_choice: bool = True
    image_input: bool = True
    image_in_tool_result: bool = False
    output_modes: tuple[Literal["tool", "native", "prompted"], ...] = ("tool", "native", "prompted")
    price: Price | None = None

    def may_force_calls(self, settings: ModelSettings) -> bool:
        """Whether a call may be demanded: 400 "tool_choice 'required' is incompatible with thinking enabled"."""
        thinks = self.thinks_by_default if settings.thinking is None else settings.thinking
        return self.forced_tool_choice or not thinks


@runtime_checkable
class Model(Protocol):
    """Reaches one model at one endpoint.

    `stream` yields the parts of one turn and ends; it raises `ProviderError` for everything that the endpoint does wrong, and
    `UserError` for requests that cannot be sent. A stream that ends without a `Finish` part counts as broken. Closing the
    generator cancels the request. One model serves any number of runs at once.
    """

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        ...

    @property
    def profile(self) -> Profile:
        """What the model's family can do."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """The parts of one turn, as they come."""
        ...
