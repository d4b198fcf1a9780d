"""`Output`: an agent's output specification, ready for use: its tools, its schema, its validators."""

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

from kimi_agent.errors import UserError
from kimi_agent.models.base import Profile
from kimi_agent.output.choices import Choice, choices_of, combined_schema, mode_in
from kimi_agent.output.spec import OutputMode, OutputValidator
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.execute import call
from kimi_agent.tooling.result import Pending, ToolResult
from kimi_agent.tooling.tool import Tool

ACCEPTED = "The answer was accepted."
NOT_USED = "Not used: the answer had been given already."


class Acceptor(Protocol):
    """What a run must be able to do for its output."""

    @property
    def accepted(self) -> bool:
        """Whether the answer has been given."""
        ...

    async def accept(self, value: Any, name: str) -> None:
        """Journals the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRules:
    """How an answer is checked.

    Attributes:
        validators: functions of the value, or of context and value, in order; each gets what the one before returned.
        retries: how often the model may be asked again.
    """

    validators: tuple[OutputValidator, ...] = ()
    retries: int = 2


class Output:
    """What an answer may be. Immutable; shared by all runs of an agent."""

    def __init__(self, spec: Any, rules: OutputRules) -> None:
        """Raises UserError or ToolDefinitionError for what cannot be asked for."""
        inner, self._mode = mode_in(spec)
        self.choices, self.text_allowed = choices_of(inner)
        self.rules = rules
        self.tools: dict[str, Tool[..., Any]] = {c.name: OutputTool(c, self) for c in self.choices}

    @property
    def plain(self) -> bool:
        """Whether any text will do, as it stands."""
        return not (self.choices or self.rules.validators)

    def mode(self, profile: Profile) -> OutputMode | None:
        """How the model is asked: as the specification says, else what its profile prefers; None where text is all that is wanted.

        Raises UserError for a way that the model does not know.
        """
        if not self.choices:
            return None
        if self._mode is not None and self._mode not in profile.output_modes:
            ways = ", ".join(profile.output_modes)
            raise UserError(f"this model cannot give its output by the mode {self._mode!r}; it knows: {ways}")
        return self._mode or profile.output_modes[0]

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

    async def checked(self, context: RunContext[Any], value: Any) -> Any:
        """The value as the validators leave it. Raises what they raise."""
        for validator in self.rules.validators:
            value = validator(context, value) if _takes_context(validator) else validator(value)
            value = await value if inspect.isawaitable(value) else value
        return value

    def load(self, name: str, data: Any) -> Any:
        """A value, of what a journal keeps of it."""
        choice = next((c for c in self.choices if c.name == name), None)
        return data if choice is None else choice.load(data)


class OutputTool(Tool[..., Any]):
    """A choice as the tool that the model calls: a barrier, so that what was called before it is done when the answer is made."""

    def __init__(self, choice: Choice, output: Output) -> None:
        inner = choice.tool
        rules = {"sequential": True, "repeatable": True, "retries": output.rules.retries}
        made: dict[str, Any] = inner.with_rules(**rules).options
        super().__init__(**made)
        self.__dict__["is_async"] = True
        self._choice, self._output = choice, output

    def bind(self, context: RunContext[Any], arguments: Any) -> Callable[[], Any]:
        return lambda: self.give(context, arguments)

    async def give(self, context: RunContext[Any], arguments: Any) -> ToolResult:
        """Makes the answer, and has the run accept it. Raises ModelRetry for the model, and what an output function raises."""
        run = cast(Acceptor, context.run)
        if run.accepted:
            return ToolResult(NOT_USED, is_error=True)
        inner = self._choice.tool
        value = await call(inner.is_async, inner.bind(context, arguments))
        if isinstance(value, Pending):
            raise UserError(f"{self.name} is an output function: it cannot wait for an answer from outside")
        value = await self._output.checked(context, value)
        await run.accept(value, self.name)
        return ToolResult(ACCEPTED, value=value)


def _takes_context(validator: Callable[..., Any]) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(validator).parameters.values()
    return len([p for p in parameters if p.kind in positional and p.default is p.empty]) > 1


def output_of(spec: Any, validators: Sequence[OutputValidator], retries: int) -> Output:
    """Raises UserError or ToolDefinitionError for what cannot be asked for."""
    if retries < 0:
        raise UserError("output_retries is at least 0")
    return Output(spec, OutputRules(validators=tuple(validators), retries=retries))
