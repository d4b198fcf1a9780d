"""Toolsets: groups of tools that can be filtered, prefixed and renamed, each wrapper one behaviour."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from kimi_agent.errors import ToolDefinitionError
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.hosted import hosted_tool
from kimi_agent.tooling.names import distinct, holds
from kimi_agent.tooling.schema import is_openai_tool
from kimi_agent.tooling.tool import Tool, tool

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


class _Filtered(Toolset):
    def __init__(self, inner: Toolset, keep: Keep) -> None:
        self._inner, self._keep = inner, keep
        self.slow = inner.slow

    async def tools(self, context: RunContext[Any]) -> Sequence[AnyTool]:
        return [t for t in await self._inner.tools(context) if await self._keeps(context, t)]

    async def _keeps(self, context: RunContext[Any], each: AnyTool) -> bool:
        kept = self._keep(context, each)
        return await kept if inspect.isawaitable(kept) else kept


class _Renamed(Toolset):
    def __init__(self, inner: Toolset, rename: Callable[[str], str]) -> None:
        self._inner, self._rename = inner, rename
        self.slow = inner.slow

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
    """Everything that may stand in `Agent(tools=[…])`, as toolsets, in order. Raises ToolDefinitionError."""
    return tuple(v if isinstance(v, Toolset) else FunctionToolset([v], tool_map) for v in values)


async def collect(
    toolsets: Sequence[Toolset],
    context: RunContext[Any],
    reserved: Collection[str] = (),
    held: dict[str, str] | None = None,
) -> dict[str, AnyTool]:
    """All tools by the names that they go by; see `distinct`. Toolsets that are `slow` are asked at once: if one fails, the others
    are cancelled, and what it raised is raised. Raises ToolDefinitionError if two tools have one name.

    Args:
        toolsets: whose tools.
        context: that they are asked with.
        reserved: names that are taken already.
        held: whose bare names were, in the turns before.
    """
    slow = [toolset for toolset in toolsets if toolset.slow]
    answers = await asked_together(slow, context) if len(slow) > 1 else {}
    tools: list[AnyTool] = []
    for toolset in toolsets:
        tools += answers[id(toolset)] if id(toolset) in answers else await toolset.tools(context)
    named = {each.name: each for each in tools}
    held = {} if held is None else held
    foreign = [each for each in tools if each.qualified is not None]
    if len(named) == len(tools) and named.keys().isdisjoint(reserved) and (not foreign or all(holds(t, held) for t in foreign)):
        return named
    return distinct(tools, reserved, held)


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
