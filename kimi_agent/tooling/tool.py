"""`Tool`: what the model is told of a function, how it is called, and under which rules.

    @tool(timeout=10)
    async def get_weather(city: str, days: int = 1) -> Weather:
        \"\"\"Current weather.\"\"\"

    tool(search, parameters=SearchParams)                       # a pydantic model where the signature can't tell
    tool(run_query, name="query", parameters={"type": "object", "properties": {…}})     # or a JSON Schema
"""

import functools
import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, TypeAlias, TypedDict, TypeVar, overload

from typing_extensions import Unpack

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.models.base import ToolSpec
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.docstring import Documentation, read_docstring
from kimi_agent.tooling.schema import given_schema
from kimi_agent.tooling.signature import Arguments, Signature, Validate, read_signature

P = ParamSpec("P")
R = TypeVar("R")
Parameters: TypeAlias = Mapping[str, Any] | type
NeedsApproval: TypeAlias = bool | Callable[[RunContext[Any], dict[str, Any]], bool]
_NAME = re.compile(r"\$?[a-zA-Z_][a-zA-Z0-9_-]{0,63}")  # $: Moonshot's own, such as $web_search


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """The rules under which a tool is run.

    Attributes:
        timeout: seconds for one call; the model is told when they are over. None: the agent's `tool_timeout`.
        sequential: a barrier: runs alone, after the calls before it and before the calls behind it.
        idempotent: may be run again when a run is resumed that broke off while it ran.
        repeatable: identical calls in succession are wanted (polling, dice) and not counted as a model that is stuck.
        needs_approval: whether each call, or the calls that a function `(ctx, arguments) -> bool` picks, must be approved first.
        retries: how often in succession the tool may raise `ModelRetry` before it is closed for the rest of the run.
        max_result_chars: longer results are cut in the middle, and the model is told. None: the agent's `max_result_chars`.
    """

    timeout: float | None = None
    sequential: bool = False
    idempotent: bool = False
    repeatable: bool = False
    needs_approval: NeedsApproval = False
    retries: int = 3
    max_result_chars: int | None = None


class Tool(Generic[P, R]):
    """A function that a model can call. It stays callable as the function that it was.

    Attributes:
        name: as the model calls it.
        description: what the model is told.
        rules: under which it runs.
    """

    def __init__(self, function: Callable[P, R], *, name: str | None = None, description: str | None = None,
                 parameters: Parameters | None = None, rules: ToolRules | None = None) -> None:
        """Raises ToolDefinitionError if the name is not one that endpoints take."""
        if isinstance(function, staticmethod):
            function = function.__func__
            self._binds = False
        else:
            self._binds = hasattr(function, "__get__")
        if not (callable(function) or isinstance(function, classmethod)):
            raise ToolDefinitionError(f"a tool is made of a function, not of {function!r}; a name is given as `name=`")
        self.function = function
        self.name = name or _default_name(function)
        self.rules = rules or ToolRules()
        self._description = description
        self._parameters = parameters
        functools.update_wrapper(self, function, updated=())
        if not _NAME.fullmatch(self.name):
            raise ToolDefinitionError(f"{self.name!r} is no name for a tool: letters, digits, _ and -, at most 64, "
                                      "not beginning with a digit. Pass `name=`")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> "Tool[..., R]":
        """A tool that stands in a class is bound to the object that it is taken from, as a method is."""
        if not self._binds or (instance is None and not isinstance(self.function, classmethod)):
            return self
        return self._with(function=self.function.__get__(instance, owner))

    def __repr__(self) -> str:
        return f"Tool({self.name})"

    @property
    def description(self) -> str:
        """What the model is told that the tool does."""
        return self._description if self._description is not None else self._documentation.description

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of type object. Raises ToolDefinitionError."""
        return self._compiled[0]

    @functools.cached_property
    def spec(self) -> ToolSpec:
        """What the model is told. Raises ToolDefinitionError."""
        return ToolSpec(self.name, self.description, self.parameters)

    @functools.cached_property
    def is_async(self) -> bool:
        """Whether the function runs on the event loop; others run in a thread."""
        function: Any = self.function
        while isinstance(function, functools.partial):
            function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, call))

    def renamed(self, name: str) -> "Tool[P, R]":
        """The same tool under another name. Raises ToolDefinitionError."""
        return self._with(name=name)

    def with_rules(self, **rules: Any) -> "Tool[P, R]":
        """The same tool under other rules; see `ToolRules`."""
        return self._with(rules=replace(self.rules, **rules))

    def _with(self, **changes: Any) -> "Tool[P, R]":
        same = {"function": self.function, "name": self.name, "description": self._description, "parameters": self._parameters,
                "rules": self.rules}
        return Tool(**same | changes)

    def validate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them. Raises InvalidArguments, with a text for the model."""
        return self._compiled[1](arguments)

    def bind(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """The call, ready to be made, with validated arguments."""
        return self._signature.bind(context, arguments)

    @functools.cached_property
    def _signature(self) -> Signature:
        return read_signature(self.function)

    @functools.cached_property
    def _documentation(self) -> Documentation:
        function: Any = self.function
        if isinstance(function, functools.partial):
            function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if not (inspect.isroutine(function) or isinstance(function, type)):  # a callable object: its class says what it is
            return read_docstring(type(function).__call__.__doc__ or type(function).__doc__)
        return read_docstring(function.__doc__)

    @functools.cached_property
    def _compiled(self) -> tuple[dict[str, Any], Validate]:
        if self._parameters is not None:
            return given_schema(self._parameters, self._signature, self.name)
        arguments = Arguments(self._signature, self._documentation, self.name)
        return arguments.schema, arguments.validate


def _default_name(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        return _default_name(function.func)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    name: str = getattr(function, "__name__", "") or type(function).__name__
    if name == "<lambda>":
        raise ToolDefinitionError("a lambda has no name: tool(lambda …, name='…')")
    return name


class ToolOptions(TypedDict, total=False):
    """The keyword arguments of `tool`: name, description, parameters, and the rules."""

    name: str | None
    description: str | None
    parameters: Parameters | None
    timeout: float | None
    sequential: bool
    idempotent: bool
    repeatable: bool
    needs_approval: NeedsApproval
    retries: int
    max_result_chars: int | None


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> Tool[P, R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Makes a function a tool: `@tool`, `@tool(timeout=10)` or `tool(function, name="…")`.

    Name, description and parameters come from the function, its docstring (Google, NumPy or Sphinx style) and its annotations;
    see `ToolRules` for the other options. A parameter annotated with `RunContext` is filled by the run, not by the model. A `Tool`
    is taken with its own options where no others are given.
    Raises ToolDefinitionError: at once for a bad name, on first use for a signature that cannot become a schema.
    """
    if function is None:
        return functools.partial(tool, **options)
    given: dict[str, Any] = dict(options)
    own = {k: given.pop(k) for k in ("name", "description", "parameters") if k in given}
    if isinstance(function, types.MethodType) and isinstance(function.__func__, Tool):  # Python 3.13: @classmethod over @tool
        function = function.__func__.__get__(function.__self__, type(function.__self__))
    try:
        if isinstance(function, Tool):
            return function._with(**own, rules=replace(function.rules, **given))  # pyright: ignore[reportPrivateUsage]
        return Tool(function, **own, rules=ToolRules(**given))
    except TypeError as e:
        raise ToolDefinitionError(f"tool(): {e}") from e
