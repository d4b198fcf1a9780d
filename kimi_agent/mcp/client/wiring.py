"""How a server is reached, and what becomes of what it says and asks by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from importlib.metadata import version
from typing import Any, Literal

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import EmptyResult, SetLevelRequest, SetLevelRequestParams

from kimi_agent.mcp.client.connection import Live
from kimi_agent.mcp.client.elicitation import Questioner
from kimi_agent.mcp.client.http import Address, http_transport
from kimi_agent.mcp.client.inflight import Flights
from kimi_agent.mcp.client.lines import Tail
from kimi_agent.mcp.client.listing import ToolList
from kimi_agent.mcp.client.mending import mending
from kimi_agent.mcp.client.options import Options
from kimi_agent.mcp.client.sampling import Sampler
from kimi_agent.mcp.client.sse import sse_transport
from kimi_agent.mcp.client.stdio import Command, stdio_transport
from kimi_agent.redact import get_logger, redact

log = get_logger(__name__)
_ROOTS = 1.0  # seconds for a server to ask for the roots
_LEVELS = {"debug": 10, "info": 20, "notice": 20, "warning": 30, "error": 40}


class ServerWiring:
    """The parts of one connection; what comes in goes to the run that it belongs to."""

    def __init__(self, options: Options, flights: Flights, tools: ToolList) -> None:
        self._options, self._flights, self._tools = options, flights, tools
        self._provider: httpx2.Auth | None = None
        self._questions = 0
        self._told_roots = asyncio.Event()

    def transport(self, tail: Tail, lost: Callable[[str], None]) -> AbstractAsyncContextManager[Any]:
        """The streams to the server."""
        return mending(self._raw(tail, lost), self._options.name)

    def _raw(self, tail: Tail, lost: Callable[[str], None]) -> AbstractAsyncContextManager[Any]:
        options = self._options
        if options.url is None:
            program, *args = options.command
            return stdio_transport(Command(program, args, options.env, options.cwd), tail, lost)
        address = Address(options.url, options.headers, self._auth(options.url))
        return sse_transport(address) if options.transport == "sse" else http_transport(address)

    def _auth(self, url: str) -> httpx2.Auth | None:
        auth = self._options.auth
        self._provider = auth if auth is None or isinstance(auth, httpx2.Auth) else auth.provider(url)
        return self._provider

    def waits_for_person(self) -> bool:
        """Whether somebody is being asked something, or to sign in: people take longer than machines."""
        return self._questions > 0 or bool(getattr(self._provider, "waiting", False))

    def client(self, transport: Any, mode: Literal["auto", "legacy"]) -> Client:
        """The SDK's client; what it can do for the server is told by the callbacks that it has."""
        options = self._options
        self._told_roots.clear()
        client = Client(
            transport,
            mode=mode,
            cache=None,  # lists are kept here, and fetched again when they have changed
            client_info=types.Implementation(name="kimi-agent", version=version("kimi-agent")),
            log_level=options.log_level,
            logging_callback=self._on_log,
            message_handler=self._on_message,
            sampling_callback=self._on_sampling if options.sampling or options.sampling_model else None,
            elicitation_callback=self._on_elicitation if options.elicit else None,
            list_roots_callback=self._on_roots if options.roots else None,
        )
        return client

    async def greeted(self, live: Live) -> None:
        """Sets the log level of a server that has one to be set."""
        session, level = live.client.session, self._options.log_level
        session.validate_tool_result = _take_as_it_is
        self._tools.changed()
        if (
            self._options.roots and not live.is_modern
        ):  # servers ask for them once they are greeted, and refuse calls that come before
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_roots.wait(), _ROOTS)
        if level is not None and not live.is_modern and live.client.server_capabilities.logging is not None:
            request = SetLevelRequest(params=SetLevelRequestParams(level=level))
            await session.send_request(request, EmptyResult)

    def attend(self, live: Live) -> Awaitable[None] | None:
        """A server without sessions tells of changes only to those who listen."""
        tools = live.client.server_capabilities.tools
        return self._listen(live) if live.is_modern and tools is not None and tools.list_changed else None

    async def _listen(self, live: Live) -> None:
        while True:
            try:
                async with live.client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        self._tools.changed()
                return
            except SubscriptionLost:
                self._tools.changed()  # what was said meanwhile is not said again
            except ListenNotSupportedError:
                return
            except Exception as e:
                log.info("changes of the tools of %s are not heard of", self._options.name, exc_info=e)
                return

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._tools.changed()

    async def _on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        name = self._options.name
        source = f"{name}/{params.logger}" if params.logger else name
        text = params.data if isinstance(params.data, str) else types.LoggingMessageNotificationParams.model_dump_json(params)
        context = self._flights.belongs_to()
        if context is not None:
            context.log(text, params.level, source)
        else:
            log.log(_LEVELS.get(params.level, 50), "MCP server %s: %s", source, redact(text))

    async def _on_sampling(self, context: Any, params: types.CreateMessageRequestParams) -> Any:
        options = self._options
        sampler = Sampler(options.name, options.sampling, options.sampling_model)
        belongs_to = self._flights.belongs_to() if options.sampling else None
        return await sampler.answer(params, belongs_to)

    async def _on_elicitation(self, context: Any, params: types.ElicitRequestParams) -> Any:
        assert self._options.elicit is not None
        self._questions += 1
        try:
            return await Questioner(self._options.name, self._options.elicit).answer(params)
        finally:
            self._questions -= 1

    async def visit(self, page: types.ElicitRequestURLParams) -> bool:
        """Brings the user to a page that a call wants to be visited first; whether they went."""
        if self._options.elicit is None:
            return False
        answer = await self._on_elicitation(None, page)
        return isinstance(answer, types.ElicitResult) and answer.action == "accept"

    async def _on_roots(self, context: Any) -> types.ListRootsResult:
        self._told_roots.set()
        roots = [types.Root(uri=path.as_uri(), name=path.name) for path in self._options.roots]  # pyright: ignore[reportArgumentType]
        return types.ListRootsResult(roots=roots)


async def _take_as_it_is(name: str, result: types.CallToolResult) -> None:
    """The SDK throws a result away that does not fit the server's own schema. The tool has run: what it said must not be lost, so
    the result is checked where it is shown, and a note is added to one that does not fit."""
