"""Prompts that a server offers: messages for the conversation of the client's user, made from arguments that the user gives.

Prompt(review, complete={"language": ["python", "rust"]})
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from kimi_agent.errors import ToolDefinitionError, UserError
from kimi_agent.mcp.server.content import block_of
from kimi_agent.mcp.server.functions import Choices, as_function, called, check_choices, completed
from kimi_agent.messages import AssistantMessage, File, Image, Text, UserMessage
from kimi_agent.tooling.tool import Tool

if TYPE_CHECKING:
    from kimi_agent.mcp.server.call import ServedCall


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with arguments.

    Attributes:
        function: sync or async, of the arguments, and of a `RunContext` if it wants one; clients send arguments as text, which is
            turned into what the annotations say. It returns text, an `Image`, a `File`, a `UserMessage` or `AssistantMessage`, or a
            list of these.
        name: by default the function's name.
        title: for people.
        description: by default the function's docstring.
        complete: values of an argument: a list, or a function of what was typed so far (and of the other arguments). Arguments that
            are `Literal`s or enums have theirs.
    """

    function: Callable[..., Any]
    name: str | None = field(default=None, kw_only=True)
    title: str | None = field(default=None, kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    complete: Mapping[str, Choices] = field(default_factory=dict[str, Choices], kw_only=True)
    _made_of: "Tool[..., Any]" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises ToolDefinitionError for a function whose arguments cannot be read."""
        made_of = as_function(self.function, self.name, self.description)
        object.__setattr__(self, "_made_of", made_of)
        object.__setattr__(self, "name", made_of.name)
        check_choices(self.complete, made_of.parameters["properties"], made_of.name)

    def listed(self) -> types.Prompt:
        """As it stands in lists."""
        schema = self._made_of.parameters
        required = schema.get("required", ())
        arguments = [
            types.PromptArgument(name=name, description=about.get("description"), required=name in required)
            for name, about in schema["properties"].items()
        ]
        return types.Prompt(
            name=self._made_of.name,
            title=self.title,
            description=self._made_of.description or None,
            arguments=arguments or None,
        )

    async def get(self, call: "ServedCall", arguments: Mapping[str, str]) -> types.GetPromptResult:
        """The messages. Raises MCPError."""
        schema = self._made_of.parameters
        if missing := [n for n in schema.get("required", ()) if n not in arguments]:
            raise MCPError(types.INVALID_PARAMS, f"Missing arguments of {self._made_of.name}: {', '.join(missing)}")
        value = await called(self._made_of, call, arguments)
        try:
            messages = _messages(value)
        except UserError as e:
            raise MCPError(types.INTERNAL_ERROR, f"{self._made_of.name}: {e}") from e
        return types.GetPromptResult(description=self._made_of.description or None, messages=messages)

    def choices(self, argument: str) -> Choices | None:
        """What an argument may be."""
        if argument in self.complete:
            return self.complete[argument]
        schema = self._made_of.parameters
        about = schema["properties"].get(argument, {})
        if "$ref" in about:
            about = schema["$defs"][about["$ref"].removeprefix("#/$defs/")]
        return [str(v) for v in about["enum"]] if "enum" in about else None


class Prompts:
    """All prompts of a server, by name."""

    def __init__(self, given: Iterable[Prompt | Callable[..., Any]]) -> None:
        """Raises ToolDefinitionError where two have one name."""
        self.by_name: dict[str, Prompt] = {}
        for each in given:
            prompt = each if isinstance(each, Prompt) else Prompt(each)
            assert prompt.name is not None
            if prompt.name in self.by_name:
                raise ToolDefinitionError(f"two prompts are named {prompt.name!r}: give one another name=")
            self.by_name[prompt.name] = prompt

    def listed(self) -> types.ListPromptsResult:
        """All of them."""
        return types.ListPromptsResult(prompts=[p.listed() for p in self.by_name.values()])

    def find(self, name: str) -> Prompt:
        """Raises MCPError."""
        if (found := self.by_name.get(name)) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {name}")
        return found

    async def complete(self, params: types.CompleteRequestParams, name: str) -> types.Completion:
        """Values of an argument. Raises MCPError."""
        context = params.context.arguments if params.context else None
        return await completed(self.find(name).choices(params.argument.name), params.argument.value, context or {})


def _messages(value: Any) -> list[types.PromptMessage]:
    every: list[Any] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType]
    return [message for each in every for message in _message(each)]


def _message(value: Any) -> list[types.PromptMessage]:
    """One block each, as the protocol has it."""
    if isinstance(value, types.PromptMessage):
        return [value]
    if isinstance(value, AssistantMessage):
        return [types.PromptMessage(role="assistant", content=types.TextContent(text=value.text))]
    if isinstance(value, str | Text | Image | File):
        value = UserMessage(value)
    if not isinstance(value, UserMessage):
        raise UserError(
            f"a prompt is text, an image, a file, or messages of the user and the assistant, not {type(value).__name__}"
        )
    return [types.PromptMessage(role="user", content=block_of(p)) for p in value.content]
