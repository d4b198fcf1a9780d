"""`Output`: an agent's output specification, ready for use: its tools, its schema, its validators."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

from kimi_agent.errors import UserError
from kimi_agent.models.base import Profile
from kimi_agent.output.choices import Choice, choices_of, combined_schema, mode_in, text_choice
from kimi_agent.output.keep import Kept, kept, loaded
from kimi_agent.output.spec import OutputMode, OutputValidator
from kimi_agent.output.validators import Validator
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import call
from kimi_agent.tooling.result import Pending, ToolResult
from kimi_agent.tooling.tool import Tool

ACCEPTED = "The answer was accepted."
NOT_USED = "Not used: the answer had been given already."
_UNBOUNDED = 1_000_000  # the run counts the answers that do not fit, not the tool


class Acceptor(Protocol):
    """What a run must be able to do for its output."""

    @property
    def accepted(self) -> bool:
        """Whether the answer has been given."""
        ...

    async def accept(self, value: Any, name: str, kept: "Kept") -> None:
        """Journals the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRules:
    """How an answer is checked.

    Attributes:
        validators: asked in order; each gets what the one before returned.
        retries: how often the model may be asked again.
    """

    validators: tuple[Validator, ...] = ()
    retries: int = 2


class Output:
    """What an answer may be. Immutable; shared by all runs of an agent."""

    def __init__(self, spec: Any, rules: OutputRules) -> None:
        """Raises UserError or ToolDefinitionError for what cannot be asked for."""
        inner, self._mode = mode_in(spec)
        self.choices, self.text_allowed = choices_of(inner)
        self.rules = rules
        self.tools: dict[str, OutputTool] = {c.name: OutputTool(c, self) for c in self.choices}
        if self._mode == "native" and self.text_allowed:
            raise UserError("NativeOutput holds the endpoint to JSON: leave `str` out, or use PromptedOutput")

    @property
    def plain(self) -> bool:
        """Whether any text will do, as it stands."""
        return not (self.choices or self.rules.validators)

    @cached_property
    def text_tool(self) -> "OutputTool":
        """Takes plain text as the answer; never offered to the model."""
        return OutputTool(text_choice(), self)

    def mode(self, profile: Profile) -> OutputMode | None:
        """How the model is asked: as the specification says, else what its profile prefers; None where text is all that is wanted.

        Raises UserError for a way that the model does not know.
        """
        if not self.choices:
            return None
        ways: list[OutputMode] = [w for w in profile.output_modes if not (w == "native" and self.text_allowed)]
        if not ways or (self._mode is not None and self._mode not in ways):
            known = ", ".join(profile.output_modes)
            wanted = f"by the mode {self._mode!r}" if self._mode else "as a type or as text, whichever it likes"
            raise UserError(f"this model cannot give its output {wanted}; it knows: {known}")
        return self._mode or ways[0]

    def instruction(self, mode: OutputMode | None) -> str:
        """What the model is told of it; "" where nothing need be said."""
        if mode == "prompted":
            rest = " Plain text is allowed, too, where no such value can be given." if self.text_allowed else ""
            schema = json.dumps(self.schema, ensure_ascii=False)
            return f"Give your final answer as one JSON value that fits this JSON Schema, and nothing else.{rest}\n{schema}"
        if mode == "tool" and not self.text_allowed:
            return f"Give your final answer by calling {' or '.join(self.tools)}; not as text."
        return ""

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of type object of all choices."""
        return combined_schema(self.choices)

    def load(self, name: str, data: Any) -> Any:
        """A value, of what a journal keeps of it. Raises ValueError where that does not fit any more."""
        choice = next((c for c in self.choices if c.name == name), None)
        return data if choice is None else loaded(choice.kind, data)


class OutputTool(Tool[..., Any]):
    """A choice as the tool that the model calls: a barrier, so that what was called before it is done when the answer is made."""

    def __init__(self, choice: Choice, output: Output) -> None:
        made: dict[str, Any] = choice.tool.with_rules(sequential=True, repeatable=True, retries=_UNBOUNDED).options
        super().__init__(**made)
        self.__dict__["is_async"] = True
        self._choice, self._output = choice, output

    def bind(self, context: RunContext[Any], arguments: Any) -> Callable[[], Any]:
        return lambda: self._checked(context, arguments)

    async def _checked(self, context: RunContext[Any], arguments: Any) -> ToolResult | Pending:
        """Makes the answer, and has it checked. Raises ModelRetry for the model, and what an output function raises."""
        if cast(Acceptor, context.run).accepted:
            return ToolResult(NOT_USED, is_error=True)
        inner = self._choice.tool
        value = await call(inner.is_async, inner.bind(context, arguments))
        if isinstance(value, Pending):
            return value
        for validator in self._output.rules.validators:
            value = await validator(context, value)
        return ToolResult(ACCEPTED, value=_Answer(value))

    async def finish(self, context: RunContext[Any], result: ToolResult | Pending) -> ToolResult | Pending:
        """Has the run accept the answer: not within the tool's time-out, and a journal that fails is no failure of the tool."""
        if isinstance(result, Pending):
            raise UserError(f"{self.name} is an output function: it cannot wait for an answer from outside")
        if not isinstance(answer := result.value, _Answer):
            return result
        await cast(Acceptor, context.run).accept(answer.value, self.name, kept(self._choice.kind, answer.value))
        return ToolResult(ACCEPTED, value=answer.value)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A checked answer on its way to the run."""

    value: Any


def output_of(spec: Any, validators: Iterable[OutputValidator], retries: int) -> Output:
    """Raises UserError or ToolDefinitionError for what cannot be asked for."""
    given: Any = retries
    if not isinstance(given, int) or retries < 0:
        raise UserError("output_retries is a number, at least 0")
    if callable(validators):
        raise UserError("output_validators= takes a list: output_validators=[…]")
    return Output(spec, OutputRules(validators=tuple(Validator(v) for v in validators), retries=retries))
