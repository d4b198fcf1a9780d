"""`MCPServer`: an MCP server as a toolset."""

import asyncio
import contextvars
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import mcp_types as types
from mcp import MCPError

from kimi_agent.background import background_loop
from kimi_agent.errors import MCPServerError, UserError
from kimi_agent.mcp.client.calls import request
from kimi_agent.mcp.client.causes import cause_of
from kimi_agent.mcp.client.connection import Connection, Live, State, pinged
from kimi_agent.mcp.client.elicitation import Elicit
from kimi_agent.mcp.client.inflight import Flights
from kimi_agent.mcp.client.listing import LIST_TIMEOUT, ToolList, pages
from kimi_agent.mcp.client.options import LogLevel, Options, Transport, checked
from kimi_agent.mcp.client.resource_tools import resource_tools
from kimi_agent.mcp.client.results import prompt_messages, resource_file, said
from kimi_agent.mcp.client.sampling import Sampling
from kimi_agent.mcp.client.terminal import ask_in_terminal
from kimi_agent.mcp.client.tool_calls import ToolRequest, call_tool
from kimi_agent.mcp.client.tools import MCPTool, tools_of
from kimi_agent.mcp.client.wiring import ServerWiring
from kimi_agent.messages import File, Image, Message, Text
from kimi_agent.models.base import Model
from kimi_agent.redact import get_logger, redact
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult
from kimi_agent.tooling.tool import NeedsApproval, Tool
from kimi_agent.tooling.toolset import Toolset

if TYPE_CHECKING:
    import httpx2

    from kimi_agent.mcp.client.oauth import OAuth

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How a server is, in this event loop.

    Attributes:
        state: "idle" until somebody needs it, "starting", "ready", "down", or "closed".
        error: why it is down; "" where it is not.
        tools: how many it has, before filters; None where that is not known.
        protocol: the version that it speaks; None where it is not ready.
        server_name, server_version: what it calls itself; None where it does not say.
        capabilities: "tools", "resources", "prompts", "logging" and such; () where it is not ready.
        restarts: how often its connection was made again.
    """

    state: State
    error: str = ""
    tools: int | None = None
    protocol: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    capabilities: tuple[str, ...] = ()
    restarts: int = 0


class _InLoop:
    """What one event loop has of a server."""

    def __init__(self, options: Options) -> None:
        self.flights, self.listed = Flights(), ToolList()
        self.wiring = ServerWiring(options, self.flights, self.listed)
        carries_all = options.transport != "http"
        self.connection = Connection(
            options.name, self.wiring, options.start_timeout, carries_all=carries_all, ping_timeout=options.ping_timeout
        )
        self.made_of: Sequence[types.Tool] | None = None
        self.made: tuple[Tool[..., Any], ...] = ()
        self.warned = False
        self.refreshing: asyncio.Task[None] | None = None


class MCPServer(Toolset):
    """An MCP server, whose tools an agent may call: `Agent(tools=[MCPServer("npx", "-y", "@scope/server", ".")])`.

    It starts when it is first needed, in the event loop that needs it, serves all runs there, is made again when it fails, and ends
    with the loop; `async with server:` or `aclose` ends it before.
    """

    slow = True

    def __init__(
        self,
        *command: str,
        url: str | None = None,
        transport: Transport | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        headers: Mapping[str, str] | None = None,
        auth: "httpx2.Auth | OAuth | None" = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        keep: Callable[[Tool[..., Any]], bool] | None = None,
        prefix: str = "",
        needs_approval: NeedsApproval = False,
        timeout: float | None = None,
        start_timeout: float = 60.0,
        ping_timeout: float = 10.0,
        required: bool = False,
        roots: Iterable[str | Path] = (),
        elicit: Elicit | Literal["terminal"] | None = None,
        sampling: bool | Sampling = False,
        sampling_model: str | Model | None = None,
        log_level: LogLevel | None = "info",
        resource_tools: bool = False,
        trust_annotations: bool = False,
    ) -> None:
        """A command with its arguments, or a `url`.

        Args:
            command: the program and its arguments, one by one; no shell reads them.
            url: of a server that runs already.
            transport: "stdio" for a command; for a url "http" (streamable HTTP), or "sse" for an old server.
            name: for people, logs and conflicts; by default made of the command or the url.
            env: variables for the command, beside the few that are inherited (PATH, HOME and such; no keys).
            cwd: the directory that it starts in.
            headers: sent with every request to the url.
            auth: `OAuth(…)`, or any `httpx2.Auth`.
            allow: names, or patterns such as "read_*", of the server's tools that are taken; None: all.
            deny: names or patterns of tools that are not.
            keep: `(tool) -> bool`, for any other choice.
            prefix: for all names. Where two tools have one name, an MCP server's is called `{server}__{tool}`.
            needs_approval: as `ToolRules.needs_approval`, for all its tools.
            timeout: seconds for one call; None: the agent's `tool_timeout`.
            start_timeout: seconds until it must have started and greeted.
            ping_timeout: seconds for a server whose call was given up to say that it lives.
            required: whether a server that cannot be had ends the run; else it is one warning, and its tools are missing.
            roots: directories that the server is told it may work in.
            elicit: asks the user what the server wants to know: a callback, or "terminal"; None: the server may not ask.
            sampling: whether the server may ask the run's model; or a callback that answers.
            sampling_model: answers what belongs to no call of a run.
            log_level: of the server's messages that become events; None: none.
            resource_tools: whether the model gets tools to list and read the server's resources.
            trust_annotations: whether tools that the server calls read-only or idempotent may be run again after a failure.

        Raises:
            UserError: the text says what to write.
        """
        if elicit == "terminal":
            elicit = ask_in_terminal
        given = {k: v for k, v in locals().items() if k in _OPTION_NAMES}
        self.options = checked(given)
        self._loops: dict[asyncio.AbstractEventLoop, _InLoop] = {}

    def __repr__(self) -> str:
        return f"MCPServer({self.name!r}, {self.options.transport})"

    @property
    def name(self) -> str:
        """Its name among the servers."""
        return self.options.name

    @property
    def status(self) -> ServerStatus:
        """How it is, in the running event loop; "idle" where none runs."""
        with suppress(RuntimeError):
            return self._status(self._loops.get(asyncio.get_running_loop()))
        return ServerStatus(state="idle")

    def _status(self, here: _InLoop | None) -> ServerStatus:
        if here is None:
            return ServerStatus(state="idle")
        connection, live = here.connection, here.connection.live
        info = live.client.server_info if live else None
        return ServerStatus(
            state=connection.state,
            error=connection.error if connection.state == "down" else "",
            tools=None if here.listed.known is None else len(here.listed.known),
            protocol=live.client.protocol_version if live else None,
            server_name=info.name if info else None,
            server_version=info.version if info else None,
            capabilities=tuple(sorted(live.client.server_capabilities.model_fields_set)) if live else (),
            restarts=connection.restarts,
        )

    @property
    def _here(self) -> _InLoop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            for other in [each for each in self._loops if each.is_closed()]:
                del self._loops[other]
            here = self._loops[loop] = _InLoop(self.options)
        return here

    # ── as a toolset ──

    async def tools(self, context: RunContext[Any]) -> Sequence[Tool[..., Any]]:
        """What the server offers now. A server that cannot be had is one warning, and has no tools; one that was there before keeps
        those that it had, and is asked again meanwhile."""
        here = self._here
        try:
            if here.connection.state == "down" or (here.listed.known is not None and here.connection.live is None):
                self._bring_back(here)
            elif not here.listed.current:
                await self._listed(here)
        except TimeoutError:
            self._missing(here, f"its list did not come within {LIST_TIMEOUT:g} s")
        except Exception as e:  # whatever a server answers, the agent and its other tools live on
            self._missing(here, str(e) if isinstance(e, MCPServerError | MCPError) else cause_of(e, LIST_TIMEOUT))
        return self._made(here)

    def _missing(self, here: _InLoop, why: str) -> None:
        if self.options.required and here.listed.known is None:
            raise MCPServerError(why, server=self.name)
        if not here.warned:  # once, until it works again
            here.warned = True
            log.warning("the tools of the MCP server %s are missing or old: %s", self.name, why)

    async def _listed(self, here: _InLoop, *, patient: bool = False) -> None:
        await request(
            here.connection,
            lambda live: here.listed.fetch(live.client),
            name=self.name,
            timeout=None,
            repeatable=True,
            insist=False,
            patient=patient,
        )
        here.warned = False

    def _bring_back(self, here: _InLoop) -> None:
        """Once it was lost, or could not be started, no turn waits for it: it is started again beside the turn."""
        if self.options.required and here.listed.known is None:
            raise MCPServerError(here.connection.error, server=self.name)
        if here.refreshing is None or here.refreshing.done():
            loop = asyncio.get_running_loop()
            here.refreshing = loop.create_task(self._back(here), context=contextvars.Context())  # no run's variables

    async def _back(self, here: _InLoop) -> None:
        try:
            await self._listed(here, patient=True)
        except Exception as e:
            log.info("the MCP server %s is not back yet", self.name, exc_info=e)

    def _made(self, here: _InLoop) -> tuple[Tool[..., Any], ...]:
        """The same objects as long as the server's list is the same."""
        listed = here.listed.known or ()
        if here.made_of is not listed:
            extra = resource_tools(self) if self.options.resource_tools else ()
            old = {t.original: t for t in here.made if isinstance(t, MCPTool)}
            new = tools_of(self, listed, self.options)
            here.made = tuple(old[t.original] if t.original in old and old[t.original].listed == t.listed else t for t in new)
            here.made = (*here.made, *extra)
            here.made_of = listed
        return here.made

    async def still_has(self, tool: MCPTool) -> bool:
        """Whether the server lists this tool as it did: a list that may be old is fetched first. A server that cannot be reached
        changes nothing: the call will say so."""
        here = self._here
        try:
            if here.connection.live is None or not here.listed.current:
                await self._listed(here)
        except Exception as e:
            log.info("the list of the MCP server %s could not be looked at again", self.name, exc_info=e)
            return True
        return any(tool.listed == listed for listed in here.listed.known or ())

    async def run_tool(self, tool: MCPTool, context: RunContext[Any], arguments: dict[str, Any]) -> ToolResult:
        """A call out of a run: its failures are results, and progress and log messages the run's events."""
        call = ToolRequest(
            name=tool.original,
            arguments=arguments,
            context=context,
            repeatable=tool.rules.idempotent,
            timeout=self.options.timeout,
            schema=tool.output_schema,
        )
        try:
            return await self._call(call)
        except MCPError as e:
            return said(redact(f"{self.name}: {e.message}"))
        except MCPServerError as e:
            return said(str(e))
        except TimeoutError:
            return said(f"{tool.name} did not finish within {self.options.timeout:g} s.")

    # ── for programs ──

    async def list_tools(self) -> tuple[MCPTool, ...]:
        """The tools that the filters leave. Raises MCPServerError."""
        here = self._here
        try:
            await self._listed(here)
        except (MCPError, TimeoutError) as e:
            raise MCPServerError(f"the MCP server {self.name!r} does not list its tools: {e}", server=self.name) from e
        return tuple(t for t in self._made(here) if isinstance(t, MCPTool))

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        context: RunContext[Any] | None = None,
    ) -> ToolResult:
        """Calls a tool by the server's own name for it; what the tool says is the result, also where it failed.

        Raises MCPServerError where the server cannot be reached or refuses, and TimeoutError.
        """
        try:
            call = ToolRequest(name=name, arguments=dict(arguments or {}), context=context, timeout=timeout or self.options.timeout)
            return await self._call(call)
        except MCPError as e:
            raise MCPServerError(f"the MCP server {self.name!r}: {e.message}", server=self.name) from e

    async def _call(self, call: ToolRequest) -> ToolResult:
        here = self._here
        return await call_tool(here.connection, here.flights, call, server=self.name, visit=here.wiring.visit)

    async def _ask(self, ask: Callable[[Live], Any], context: RunContext[Any] | None = None) -> Any:
        """A question that changes nothing."""
        here = self._here
        try:
            with here.flights.one(context):
                return await request(here.connection, ask, name=self.name, timeout=LIST_TIMEOUT, repeatable=True)
        except (MCPError, TimeoutError) as e:
            raise MCPServerError(f"the MCP server {self.name!r}: {e or 'no answer in time'}", server=self.name) from e

    async def resources(self, context: RunContext[Any] | None = None) -> tuple[types.Resource, ...]:
        """What there is to read. Raises MCPServerError."""
        found = await self._ask(lambda live: pages(live.client.list_resources), context)
        return tuple(resource for page in found for resource in page.resources)

    async def resource_templates(self, context: RunContext[Any] | None = None) -> tuple[types.ResourceTemplate, ...]:
        """Patterns of URIs that can be read. Raises MCPServerError."""
        found = await self._ask(lambda live: pages(live.client.list_resource_templates), context)
        return tuple(template for page in found for template in page.resource_templates)

    async def read_resource(self, uri: str, context: RunContext[Any] | None = None) -> tuple[File | Image | Text, ...]:
        """A resource's contents, as files named by their URI, or images. Raises MCPServerError."""
        found = await self._ask(lambda live: live.client.read_resource(uri), context)
        return tuple(resource_file(contents) for contents in found.contents)

    async def prompts(self) -> tuple[types.Prompt, ...]:
        """Prompts that the server keeps for its users. Raises MCPServerError."""
        found = await self._ask(lambda live: pages(live.client.list_prompts))
        return tuple(prompt for page in found for prompt in page.prompts)

    async def prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> tuple[Message, ...]:
        """A prompt's messages, to be passed to a run: `agent.run(await server.prompt("review"))`. Raises MCPServerError."""
        found = await self._ask(lambda live: live.client.get_prompt(name, dict(arguments or {})))
        return prompt_messages(found)

    async def instructions(self) -> str:
        """What the server says of its use, for `Agent(instructions=[…, server.instructions])`; "" where it says or is nothing.
        It is the server's own text: take it of servers that you trust."""
        try:
            return (await self._here.connection.ready()).client.instructions or ""
        except MCPServerError:
            return ""

    # ── life ──

    async def connect(self) -> None:
        """Starts it now. Raises MCPServerError, with the cause."""
        await self._here.connection.ready()

    async def ping(self) -> float:
        """Seconds that it takes to answer. Raises MCPServerError."""
        began = time.perf_counter()
        await self._ask(pinged)
        return time.perf_counter() - began

    async def aclose(self) -> None:
        """Ends it in this event loop; the next use starts it again."""
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is None and any(not loop.is_closed() for loop in self._loops):
            raise UserError(f"the MCP server {self.name!r} runs in another event loop: after run_sync, it is ended by close()")
        if here is not None:
            if here.refreshing is not None:
                here.refreshing.cancel()
                await asyncio.wait([here.refreshing])
            await here.connection.aclose()

    def close(self) -> None:
        """As `aclose`, for code that is not async: what `run_sync` has started."""
        background_loop().run(self.aclose)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()


_OPTION_NAMES = frozenset(inspect.signature(MCPServer.__init__).parameters) - {"self"}
