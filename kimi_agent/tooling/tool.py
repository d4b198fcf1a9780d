"""`Tool`: what the model is told of a function, how it is called, and under which rules.

@tool(timeout=10)
async def get_weather(city: str, days: int = 1) -> Weather:
    \"\"\"Current weather.\"\"\"

tool(search, parameters=SearchParams)                       # a pydantic model where the signature can't tell
tool(run_query, name="query", parameters={"type": "object", "properties": {…}})     # or a JSON Schema
"""

import copy
import functools
import inspect
import re
import types
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeAlias, TypedDict, TypeVar, cast, overload

from typing_extensions import Unpack

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.models.base import ToolSpec
from kimi_agent.redact import get_logger
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.docstring import Documentation, read_docstring
from kimi_agent.tooling.result import Pending, ToolResult
from kimi_agent.tooling.schema import given_schema
from kimi_agent.tooling.signature import Arguments, Signature, Validate, read_signature

log = get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
Q = ParamSpec("Q")
S = TypeVar("S")
Parameters: TypeAlias = Mapping[str, Any] | type
NeedsApproval: TypeAlias = bool | Callable[[RunContext[Any], dict[str, Any]], bool | Awaitable[bool]]
# Agents are made by the thousand of the same few functions, and pydantic takes milliseconds for each. It holds no function.
_known_arguments: weakref.WeakKeyDictionary[types.FunctionType, Arguments] = weakref.WeakKeyDictionary()
NAME = re.compile(r"\$?[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")  # $: Moonshot's own, such as $web_search


class Owner(Protocol):
    """Somebody whose tools an agent may call; `MCPServer` is one. Its name need not be the only one of its kind."""

    @property
    def name(self) -> str:
        """What the qualified names of its tools begin with."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """The rules under which a tool is run.

    Attributes:
        timeout: seconds for one call; the model is told when they are over. None: the agent's `tool_timeout`.
        sequential: a barrier: runs alone, after the calls before it and before the calls behind it.
        idempotent: may be run again when a run is resumed that broke off while it ran.
        repeatable: identical calls are wanted (dice, polling): in succession they are not counted as a model that is stuck, and
            those of one turn run each for itself instead of sharing one run.
        needs_approval: whether each call, or the calls that a function `(ctx, arguments) -> bool` picks, must be approved first.
        retries: how often in succession the tool may raise `ModelRetry` before it is closed for the rest of the run.
        max_result_chars: longer results are cut in the middle, and the model is told. None: the agent's `max_result_chars`.
        deferrable: where an agent has very many tools, this one may be left out until the model has searched for it.
    """

    timeout: float | None = None
    sequential: bool = False
    idempotent: bool = False
    repeatable: bool = False
    needs_approval: NeedsApproval = False
    retries: int = 3
    max_result_chars: int | None = None
    deferrable: bool = False


class Tool(Generic[P, R]):
    """A function that a model can call. It stays callable as the function that it was.

    Attributes:
        name: as the model calls it.
        description: what the model is told.
        rules: under which it runs.
        qualified: the name that it goes by where another tool has its name, such as `github__search` for `search`; None: it keeps
            its own. A tool that has one is somebody else's: a schema of it that cannot be used costs that tool, never the run.
        owner: whose it is, where it has a qualified name: tells it from a tool of another owner that is called the same.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: Parameters | None = None,
        rules: ToolRules | None = None,
        qualified: str | None = None,
        owner: Owner | None = None,
    ) -> None:
        """Raises ToolDefinitionError if the name is not one that endpoints take."""
        made_of: Any = function
        self._static = isinstance(made_of, staticmethod)
        if self._static:
            made_of = made_of.__func__
        if not _is_function(made_of):
            raise ToolDefinitionError(f"a tool is made of a function, not of {made_of!r}; a name is given as `name=`")
        self.function: Callable[P, R] = made_of
        self.name = _default_name(made_of) if name is None else name
        self.rules = rules or ToolRules()
        self.qualified = qualified
        self.owner = owner
        self._description = description
        self._parameters = parameters
        functools.update_wrapper(self, made_of, updated=())
        if not NAME.fullmatch(self.name):
            raise ToolDefinitionError(
                f"{self.name!r} is no name for a tool: letters, digits, _, - and ., at most 64, "
                "not beginning with a digit. Pass `name=`"
            )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self: "Tool[Concatenate[Any, Q], S]", instance: object, owner: type | None = None) -> "Tool[Q, S]": ...
    def __get__(self, instance: object, owner: type | None = None) -> "Tool[..., Any]":
        """A tool that stands in a class is bound to the object that it is taken from, as a method is."""
        function: Any = self.function
        unbound = instance is None and not _is_classmethod(function)
        if self._static or unbound or _is_partial(function) or not hasattr(function, "__get__"):
            return self
        return self._with(function=function.__get__(instance, owner))

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
        function = _without_partial(self.function)
        call = getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
        return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, call))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """What the model may fill, told without making the schema, and so without checking it. Raises ToolDefinitionError."""
        if self._parameters is None:
            return tuple(p.name for p in self._signature.parameters)
        schema: Mapping[str, Any] = self._parameters if isinstance(self._parameters, Mapping) else self.parameters
        properties: object = schema.get("properties")
        return tuple(cast(Mapping[str, Any], properties)) if isinstance(properties, Mapping) else ()

    @functools.cached_property
    def usable(self) -> bool:
        """Whether the model can be told of it. A schema of somebody else's tool (`qualified`, `deferrable`) that cannot be used is
        logged, once; that of a function of one's own raises ToolDefinitionError."""
        try:
            return bool(self.spec)
        except Exception as e:
            if self.qualified is None and not self.rules.deferrable:
                raise
            log.warning("the tool %s is left out: %s", self.qualified or self.name, e)
            return False

    def renamed(self, name: str, qualified: str | None = None) -> "Tool[P, R]":
        """The same tool under another name, and under another `qualified` one where that is given; the same object each time, since
        schemas are compiled once a tool. Raises ToolDefinitionError."""
        names = (name, self.qualified if qualified is None else qualified)
        if names == (self.name, self.qualified):
            return self
        if (made := self._renamed.get(names)) is None:
            made = self._renamed[names] = self._with(name=names[0], qualified=names[1])
        return made

    def with_rules(self, **rules: Any) -> "Tool[P, R]":
        """The same tool under other rules; see `ToolRules`."""
        return self._with(rules=replace(self.rules, **rules))

    @property
    def options(self) -> dict[str, Any]:
        """What the tool was made with: the arguments of `Tool(…)`."""
        return {
            "function": self.function,
            "name": self.name,
            "description": self._description,
            "parameters": self._parameters,
            "rules": self.rules,
            "qualified": self.qualified,
            "owner": self.owner,
        }

    def _with(self, **changes: Any) -> "Tool[P, R]":
        return Tool(**self.options | changes)

    def validate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function wants them. Raises InvalidArguments, with a text for the model."""
        return self._compiled[1](arguments)

    def bind(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """The call, ready to be made, with validated arguments."""
        return self._signature.bind(context, arguments)

    @property
    def definition(self) -> str:
        """What a person approves, where somebody else may change it: whose tool it is, and what it is said to do; else ""."""
        return ""

    async def unchanged(self) -> bool:
        """Whether it is still what was approved a moment ago."""
        return True

    async def finish(self, context: RunContext[Any], result: ToolResult | Pending) -> ToolResult | Pending:
        """What becomes of a result, outside of the time-out and of what a tool may raise. For kinds of tools that belong to the
        library: what it raises ends the run."""
        return result

    @functools.cached_property
    def _renamed(self) -> "dict[tuple[str, str | None], Tool[P, R]]":
        return {}

    @functools.cached_property
    def _signature(self) -> Signature:
        return read_signature(self.function)

    @functools.cached_property
    def _documentation(self) -> Documentation:
        function = _without_partial(self.function)
        if not (inspect.isroutine(function) or isinstance(function, type)):  # a callable object: its class says what it is
            return read_docstring(type(function).__call__.__doc__ or type(function).__doc__)
        return read_docstring(function.__doc__)

    @functools.cached_property
    def _compiled(self) -> tuple[dict[str, Any], Validate]:
        if self._parameters is not None:
            return given_schema(self._parameters, self._signature, self.name)
        arguments = _known_arguments.get(self.function) if isinstance(self.function, types.FunctionType) else None
        if arguments is None:
            arguments = Arguments(self._signature, self._documentation, self.name)
            if isinstance(self.function, types.FunctionType):
                _known_arguments[self.function] = arguments
        return copy.deepcopy(arguments.schema), arguments.validate


def _is_classmethod(function: object) -> bool:
    return isinstance(function, classmethod)


def _is_function(value: object) -> bool:
    return callable(value) or _is_classmethod(value)


def _without_partial(function: object) -> Any:
    """What a `functools.partial` is made of."""
    while isinstance(function, functools.partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return function


def _is_partial(function: object) -> bool:
    """Never bound to an object, on no Python: 3.14 makes a `functools.partial` a method, and 3.13 warns of it."""
    return isinstance(function, functools.partial)


def _default_name(function: object) -> str:
    function = _without_partial(function)
    name: str = getattr(function, "__name__", "") or type(function).__name__
    if name == "<lambda>":
        raise ToolDefinitionError("a lambda has no name: tool(lambda …, name='…')")
    return name


class ToolOptions(TypedDict, total=False):
    """The keyword arguments of `tool`: name, description, parameters, the qualified name with its owner, and the rules."""

    name: str | None
    description: str | None
    parameters: Parameters | None
    qualified: str | None
    owner: Owner | None
    timeout: float | None
    sequential: bool
    idempotent: bool
    repeatable: bool
    needs_approval: NeedsApproval
    retries: int
    max_result_chars: int | None
    deferrable: bool


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> Tool[P, R]: ...
@overload
def tool(**options: Unpack[ToolOptions]) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(function: Any = None, /, **options: Unpack[ToolOptions]) -> Any:
    """Makes a function a tool: `@tool`, `@tool(timeout=10)` or `tool(function, name="…")`.

    Name, description and parameters come from the function, its docstring (Google, NumPy or Sphinx style) and its annotations;
    see `ToolRules` for the other options. A parameter annotated with `RunContext` is filled by the run, not by the model. A `Tool`
    is taken with its own options where no others are given.
    Raises ToolDefinitionError: at once for a bad name, on first use for a signature that cannot become a schema.
    """
    if function is None:
        return functools.partial(tool, **options)
    given: dict[str, Any] = dict(options)
    own = {k: given.pop(k) for k in ("name", "description", "parameters", "qualified", "owner") if k in given}
    if isinstance(function, types.MethodType) and isinstance(function.__func__, Tool):  # Python 3.13: @classmethod over @tool
        method: Any = function
        function = method.__func__.__get__(method.__self__, type(method.__self__))
    try:
        if isinstance(function, Tool):
            return function._with(**own, rules=replace(function.rules, **given))  # pyright: ignore
        return Tool(function, **own, rules=ToolRules(**given))
    except TypeError as e:
        raise ToolDefinitionError(f"tool(): {e}") from e
