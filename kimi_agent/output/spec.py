"""How a user says what the answer of an agent is: `Agent(output=…)`.

output=Report                           a pydantic model, dataclass, TypedDict, or any type that JSON can carry
output=int | None, list[Report], …      scalars, lists, unions
output=[Report, Apology]                one of several; `str` among them: plain text will do, too
output=submit                           a function: the model fills its parameters, what it returns is the output
output=JsonSchema({…})                  a JSON Schema: the output is the plain value
output=NativeOutput(Report)             by the endpoint's `response_format`; ToolOutput, PromptedOutput: by a tool, by the prompt
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from kimi_agent.errors import UserError

OutputT = TypeVar("OutputT", default=Any)
T = TypeVar("T", default=Any)
OutputMode: TypeAlias = Literal["tool", "native", "prompted"]
"""How an answer is asked for: as a call of a tool, by `response_format`, or by the instructions."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """An answer that fits a JSON Schema; the output is the plain JSON value.

    Attributes:
        schema: of any type; references within itself only.
        name: what the model reads as its name.
        description: what the model is told of it; by default the schema's own.
    """

    schema: Mapping[str, Any]
    name: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        """Raises UserError for what is no schema."""
        given: Any = self.schema
        if not isinstance(given, Mapping):
            raise UserError(f"JsonSchema takes a JSON Schema as a dict, not {type(given).__name__}")


@dataclass(frozen=True, slots=True)
class ToolOutput(Generic[T]):
    """The answer is a call of a tool, whatever the model's profile prefers. May stand in a list.

    Attributes:
        of: a type or a function.
        name: of the tool; by default `final_result`, or the function's name.
        description: what the model is told; by default the type's or the function's docstring.
    """

    of: "type[T] | Callable[..., Awaitable[T] | T]"
    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class NativeOutput(Generic[T]):
    """The answer is text that the endpoint holds to a schema: `response_format` of type `json_schema`."""

    of: "OutputSpec[T]"


@dataclass(frozen=True, slots=True)
class PromptedOutput(Generic[T]):
    """The answer is text, and the instructions say what it must look like."""

    of: "OutputSpec[T]"


OutputChoice: TypeAlias = type[T] | Callable[..., Awaitable[T] | T] | ToolOutput[T]
OutputSpec: TypeAlias = OutputChoice[T] | Sequence[OutputChoice[T]] | NativeOutput[T] | PromptedOutput[T] | JsonSchema | UnionType
OutputValidator: TypeAlias = Callable[..., Any]
"""`(value) -> value` or `(context, value) -> value`, sync or async; raises ModelRetry to have the model answer again."""
