"""`MCPService`: tools, agents, resources and prompts as an MCP server, over stdio, streamable HTTP, or in process.

service = MCPService(get_weather, research_agent, name="weather")
await service.http(port=8765)             # or service.stdio(); serve_mcp(get_weather) for a program that does nothing else
"""

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, cast

from mcp.server.lowlevel.server import Server
from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ServerEvent, ToolsListChanged
from typing_extensions import Unpack

from kimi_agent.agent import Agent
from kimi_agent.errors import UserError
from kimi_agent.mcp.server import http, stdio
from kimi_agent.mcp.server.agent_tool import AgentTool
from kimi_agent.mcp.server.gate import Gate
from kimi_agent.mcp.server.handlers import Handlers, ServedServer
from kimi_agent.mcp.server.http import HTTPOptions
from kimi_agent.mcp.server.prompts import Prompt, Prompts
from kimi_agent.mcp.server.resources import Resource, Resources
from kimi_agent.mcp.server.runs import KeptRuns
from kimi_agent.mcp.server.serving import Serving
from kimi_agent.mcp.server.tools import ServedRules, ServedTools
from kimi_agent.tooling.approval import Approver
from kimi_agent.tooling.result import MAX_RESULT_CHARS
from kimi_agent.tooling.tool import Tool
from kimi_agent.tooling.toolset import ToolLike, Toolset, as_tool, as_toolsets

Servable: TypeAlias = "ToolLike | Agent[Any] | Iterable[ToolLike | Agent[Any]]"


class MCPService:
    """A server for MCP clients of every version. One may be served in several ways at once; it holds no connection itself."""

    def __init__(
        self,
        *what: Servable,
        name: str = "kimi-agent",
        version: str | None = None,
        title: str | None = None,
        instructions: str = "",
        resources: Iterable[Resource] = (),
        prompts: Iterable[Prompt | Callable[..., Any]] = (),
        approver: Approver | None = None,
        deps: Any = None,
        tool_timeout: float | None = 300.0,
        max_result_chars: int = MAX_RESULT_CHARS,
        keep_runs: int = 100,
        concurrency: int = 16,
        ask_timeout: float = 600.0,
        annotations: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """
        Args:
            what: functions, tools, toolsets, agents (`AgentTool` to name one differently), or lists of them.
            name: as clients know the server; `title` is for people, `instructions` are what their models are told of it.
            version: of your server; by default of this library.
            resources: see `Resource`.
            prompts: functions, or `Prompt`s.
            approver: decides on calls of tools that need approval; by default the client's user is asked, and where the client
                cannot ask, the call does not run.
            deps: what tools and agents find as `ctx.deps`.
            tool_timeout: seconds for a call whose tool does not say, and for prompts and resources; agents have their own limits.
            max_result_chars: longest result of a tool that does not say; longer ones are cut in the middle.
            keep_runs: finished runs of agents that are held, as resources; the oldest go. 0: none.
            concurrency: calls that run at once, of all clients of one connection or HTTP server.
            ask_timeout: seconds that a client has to answer a question of the server.
            annotations: hints for clients by tool: `{"search": {"readOnlyHint": True, "title": "Web search"}}`.

        Raises:
            UserError: there is nothing to serve, or a number makes no sense. ToolDefinitionError: something is no tool.
        """
        if concurrency < 1 or ask_timeout <= 0:
            raise UserError("concurrency is at least 1, and ask_timeout above 0")
        toolsets = as_toolsets([_toolset_or_tool(each) for each in _each(what)])
        self._runs = KeptRuns(keep_runs)
        rules = ServedRules(
            timeout=tool_timeout, max_result_chars=max_result_chars, approver=approver, annotations=annotations or {}
        )
        handlers = Handlers(ServedTools(toolsets, rules, self.tools_changed), Resources(resources, self._runs), Prompts(prompts))
        if not (toolsets or handlers.resources.given or handlers.prompts.by_name):
            raise UserError("there is nothing to serve: MCPService(a_function, a_toolset, an_agent, …)")
        self._new_server = lambda: ServedServer(
            name,
            version=version or _own_version(),
            title=title,
            instructions=instructions or None,
            new_serving=lambda: Serving(deps, tool_timeout, ask_timeout, Gate(concurrency), self._runs),
            handlers=handlers,
            reads=bool(handlers.resources.given) or any(isinstance(t, Agent | AgentTool) for t in _each(what)),
        )
        self._server = self._new_server()  # of stdio, and in process
        self._servers = {self._server}

    def __repr__(self) -> str:
        return f"MCPService({self._server.name!r})"

    async def stdio(self) -> None:
        """Serves the program's standard input and output until the input ends. What else is printed goes to standard error.

        Raises UserError where they are served already.
        """
        await stdio.serve(self._server)

    async def http(self, **options: Unpack[HTTPOptions]) -> None:
        """Serves streamable HTTP until it is cancelled. Raises UserError for what would not be safe, and OSError for a port that is
        taken."""
        with self._another_server() as server:
            await http.serve(server, options)

    @asynccontextmanager
    async def asgi(self, **options: Unpack[HTTPOptions]) -> AsyncGenerator[Any]:
        """The same as an ASGI application, for a server of yours: `async with service.asgi() as app: …`. Sessions live as long as
        the block; `host` says which Host headers are let in. Where it listens, and who may come, is your server's business."""
        with self._another_server() as server:
            async with http.application(server, options) as app:
                yield app

    @contextmanager
    def _another_server(self) -> Generator[ServedServer]:
        server = self._new_server()
        self._servers.add(server)
        try:
            yield server
        finally:
            self._servers.discard(server)

    def in_process(self) -> Server[Serving]:
        """For tests: `async with mcp.Client(service.in_process()) as client: …`."""
        return self._server

    def tools_changed(self) -> None:
        """Tells clients to list the tools anew; from any thread. A change that a list or a call shows is told by itself."""
        self._announce(ToolsListChanged())

    def prompts_changed(self) -> None:
        """Tells clients to list the prompts anew; from any thread."""
        self._announce(PromptsListChanged())

    def resources_changed(self) -> None:
        """Tells clients to list the resources anew; from any thread."""
        self._announce(ResourcesListChanged())

    def resource_changed(self, uri: str) -> None:
        """Tells those who subscribed to this resource to read it anew; from any thread."""
        self._announce(ResourceUpdated(uri))

    def _announce(self, event: ServerEvent) -> None:
        for server in tuple(self._servers):
            for serving in server.servings:
                serving.announce(event)


def _each(what: Iterable[Any]) -> list[Any]:
    """Lists among them as what is in them."""
    out: list[Any] = []
    for each in what:
        out += _each(cast(Iterable[Any], each)) if isinstance(each, list | tuple) else [each]
    return out


def _toolset_or_tool(value: Any) -> Tool[..., Any] | Toolset:
    """Raises ToolDefinitionError at once for a function that cannot become a tool."""
    if isinstance(value, Toolset):
        return value
    made = AgentTool(cast(Agent[Any], value)) if isinstance(value, Agent) else as_tool(value, {})
    _ = made.parameters
    return made


def _own_version() -> str:
    from kimi_agent import __version__

    return __version__
