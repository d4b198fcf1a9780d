"""Toolsets: groups of tools that can be filtered, prefixed and renamed, each wrapper one behaviour."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.redact import get_logger
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.hosted import hosted_tool
from kimi_agent.tooling.names import ToolNames
from kimi_agent.tooling.schema import is_openai_tool
from kimi_agent.tooling.tool import Owner, Tool, tool

log = get_logger(__name__)
AnyTool: TypeAlias = Tool[..., Any]
ToolLike: TypeAlias = "AnyTool | Toolset | Callable[..., Any] | Mapping[str, Any]"
Keep: TypeAlias = Callable[[RunContext[Any], AnyTool], bool | Awaitable[bool]]


class Toolset(ABC):
    """A group of tools. `tools` is asked before every turn, so that what it offers may change; it should be quick, and must
    return the same `Tool` objects while nothing has changed.

    Attributes:
        slow: whether it may have to wait, for a server say: it is asked beside the other slow ones, not after them.
    """

    slow: bool = False

    @abstractmethod
    async def tools(self, context: RunContext[Any]) -> Sequence[AnyTool]:
        """The tools that the model may call in the next turn."""

    @property
    def owners(self) -> Sequence[Owner]:
        """Whose tools it may offer, also while they are away. A slow toolset that has a `name` is an owner itself."""
        named = self.slow and isinstance(getattr(self, "name", None), str)
        return (cast(Owner, self),) if named else ()

    def filtered(self, keep: Keep) -> "Toolset":
        """Only the tools for which `keep(context, tool)` is true; it may be async."""
        return _Filtered(self, keep)

    def prefixed(self, prefix: str) -> "Toolset":
        """All names with a prefix."""
        return _Renamed(self, lambda name: prefix + name)

    def renamed(self, names: Mapping[str, str]) -> "Toolset":
        """Tools under new names, `{"old": "new"}`."""
        return _Renamed(self, lambda name: names.get(name, name))


class FunctionToolset(Toolset):
    """Functions and tools as a toolset: `FunctionToolset([add, subtract]).prefixed("math_")`."""

    def __init__(
        self,
        tools: Iterable["AnyTool | Callable[..., Any] | Mapping[str, Any]"],
        tool_map: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        """Raises ToolDefinitionError for what cannot become a tool."""
        if callable(tools) or isinstance(tools, Mapping | Toolset):
            raise ToolDefinitionError("FunctionToolset takes a list of functions and tools: FunctionToolset([…])")
        self._tools = tuple(as_tool(t, tool_map or {}) for t in tools)

    async def tools(self, context: RunContext[Any]) -> Sequence[AnyTool]:
        """Always the same."""
        return self._tools


class _Wrapper(Toolset):
    def __init__(self, inner: Toolset) -> None:
        self._inner = inner
        self.slow = inner.slow

    @property
    def owners(self) -> Sequence[Owner]:
        return self._inner.owners


class _Filtered(_Wrapper):
    def __init__(self, inner: Toolset, keep: Keep) -> None:
        super().__init__(inner)
        self._keep = keep

    async def tools(self, context: RunContext[Any]) -> Sequence[AnyTool]:
        return [t for t in await self._inner.tools(context) if await self._keeps(context, t)]

    async def _keeps(self, context: RunContext[Any], each: AnyTool) -> bool:
        kept = self._keep(context, each)
        return await kept if inspect.isawaitable(kept) else kept


class _Renamed(_Wrapper):
    def __init__(self, inner: Toolset, rename: Callable[[str], str]) -> None:
        super().__init__(inner)
        self._rename = rename

    async def tools(self, context: RunContext[Any]) -> Sequence[AnyTool]:
        return [self._renamed(t) for t in await self._inner.tools(context)]

    def _renamed(self, original: AnyTool) -> AnyTool:
        qualified = original.qualified
        return original.renamed(self._rename(original.name), None if qualified is None else self._rename(qualified))


def as_tool(value: object, tool_map: Mapping[str, Callable[..., Any]]) -> AnyTool:
    """A function, a `Tool`, or an OpenAI tool dict whose function is in `tool_map`. Raises ToolDefinitionError."""
    if isinstance(value, Tool):
        return value  # pyright: ignore[reportUnknownVariableType]
    if is_openai_tool(value):
        spec = value["function"]
        function = tool_map.get(spec.get("name"))
        if function is None and value.get("type") == "builtin_function":
            return hosted_tool(spec["name"])
        if function is None:
            raise ToolDefinitionError(f"no function for the tool {spec.get('name')!r}: pass it in `tool_map={{name: function}}`")
        return tool(
            function,
            name=spec["name"],
            description=spec.get("description"),
            parameters=spec.get("parameters") or {"type": "object"},
        )
    if callable(value):
        return tool(value)
    if isinstance(value, Toolset):
        raise ToolDefinitionError("a toolset cannot stand in a FunctionToolset: pass both to the agent, tools=[…, …]")
    raise ToolDefinitionError(f"{value!r} is no tool: pass a function, a Tool, a Toolset, or an OpenAI tool dict")


def as_toolsets(values: Iterable[ToolLike], tool_map: Mapping[str, Callable[..., Any]] | None = None) -> tuple[Toolset, ...]:
    """Everything that may stand in `Agent(tools=[…])`, as toolsets, in order; owners that have one name are a warning. Raises
    ToolDefinitionError."""
    toolsets = tuple(v if isinstance(v, Toolset) else FunctionToolset([v], tool_map) for v in values)
    owners = {id(owner): owner.name for owner in _owners(toolsets)}
    for name, count in Counter(owners.values()).items():
        if count > 1:
            log.warning("%s servers are named %s: names of tools number them, in order. Give each a name=", count, name)
    return toolsets


def _owners(toolsets: Iterable[Toolset]) -> list[Owner]:
    return [owner for toolset in toolsets for owner in toolset.owners]


async def collect(
    toolsets: Sequence[Toolset],
    context: RunContext[Any],
    reserved: Collection[str] = (),
    names: ToolNames | None = None,
) -> dict[str, AnyTool]:
    """All tools by the names that they go by; see `ToolNames`. Toolsets that are `slow` are asked at once: if one fails, the others
    are cancelled, and what it raised is raised. Raises ToolDefinitionError if two tools have one name.

    Args:
        toolsets: whose tools.
        context: that they are asked with.
        reserved: names that are taken already.
        names: whose names were, in the turns before.
    """
    slow = [toolset for toolset in toolsets if toolset.slow]
    answers = await asked_together(slow, context) if len(slow) > 1 else {}
    tools: list[AnyTool] = []
    for toolset in toolsets:
        tools += answers[id(toolset)] if id(toolset) in answers else await toolset.tools(context)
    named = {each.name: each for each in tools}
    names = ToolNames() if names is None else names
    if len(named) == len(tools) and not any(each.qualified for each in tools):  # nearly all agents
        names.keep(named)
        return named
    return names.given(tools, _owners(toolsets), reserved)


async def asked_together(toolsets: Iterable[Toolset], context: RunContext[Any]) -> dict[int, Sequence[AnyTool]]:
    """Their answers, by the `id` of each: a toolset need not be hashable. What one raises is raised as it is."""

    async def ask(toolset: Toolset) -> Sequence[AnyTool]:
        return await toolset.tools(context)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {id(each): group.create_task(ask(each), name=f"tools of {each!r}") for each in toolsets}
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None
    return {key: task.result() for key, task in tasks.items()}
