"""How a server is reached, and what becomes of what it says and asks by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from importlib.metadata import version
from typing import Any, Literal

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp_types import EmptyResult, SetLevelRequest, SetLevelRequestParams

from kimi_agent.mcp.client.connection import Live
from kimi_agent.mcp.client.elicitation import Questioner
from kimi_agent.mcp.client.heard import of_this_call
from kimi_agent.mcp.client.http import Address, http_transport
from kimi_agent.mcp.client.inflight import CallOver, Flights
from kimi_agent.mcp.client.lines import Tail
from kimi_agent.mcp.client.listing import ToolList
from kimi_agent.mcp.client.mending import mending
from kimi_agent.mcp.client.options import Options
from kimi_agent.mcp.client.sampling import REFUSED, TOO_MANY, Apart, Sampler
from kimi_agent.mcp.client.sse import sse_transport
from kimi_agent.mcp.client.stdio import Command, stdio_transport
from kimi_agent.redact import get_logger, redact

log = get_logger(__name__)
_TAKEN_IN = 0.1  # seconds
_ROOTS = 1.0  # seconds for a server to ask for the roots
_SET_LEVEL = 10.0  # seconds
_LISTEN_AGAIN, _LISTEN_LAST = 1.0, 60.0  # seconds between attempts
_LEVELS = {"debug": 10, "info": 20, "notice": 20, "warning": 30, "error": 40}


class ServerWiring:
    """The parts of one connection; what comes in goes to the run that it belongs to."""

    def __init__(self, options: Options, flights: Flights, tools: ToolList) -> None:
        self._options, self._flights, self._tools = options, flights, tools
        self._provider: httpx2.Auth | None = None
        self._questions = 0
        self._questioner = Questioner(options.name, options.elicit) if options.elicit else None
        self._apart = Apart()
        self._told_roots = asyncio.Event()

    def transport(self, tail: Tail, lost: Callable[[str], None]) -> AbstractAsyncContextManager[Any]:
        """The streams to the server."""
        return mending(self._raw(tail, lost), self._options.name, lost)

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
        """The handshake is over: nothing that takes time."""
        live.client.session.validate_tool_result = _take_as_it_is
        self._tools.changed()
        if self._options.roots and not live.is_modern:
            live.before_calls = self._roots_by(asyncio.get_running_loop().time() + _ROOTS)

    def _roots_by(self, deadline: float) -> Callable[[], Awaitable[None]]:
        """Waits for the server to have asked for the roots: once it was greeted it does, and refuses calls that come before."""

        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._told_roots.wait()

        return wait

    def attend(self, live: Live) -> Awaitable[None] | None:
        """The log level is set; and a server without sessions tells of changes only to those who listen."""
        able = live.client.server_capabilities
        if not live.is_modern:
            return self._set_level(live) if self._options.log_level is not None and able.logging is not None else None
        return self._listen(live) if able.tools is not None and able.tools.list_changed else None

    async def _set_level(self, live: Live) -> None:
        """Some servers say that they log, and do not know how to be told the level: they are used all the same."""
        assert self._options.log_level is not None
        request = SetLevelRequest(params=SetLevelRequestParams(level=self._options.log_level))
        try:
            async with asyncio.timeout(_SET_LEVEL):
                await live.client.session.send_request(request, EmptyResult)
        except Exception as e:
            log.info("the log level of the MCP server %s could not be set", self._options.name, exc_info=e)

    async def _listen(self, live: Live) -> None:
        delay = 0.0
        while True:
            await asyncio.sleep(delay)
            delay = min(max(_LISTEN_AGAIN, delay * 2), _LISTEN_LAST)
            try:
                async with live.client.listen(tools_list_changed=True) as changes:
                    async for _ in changes:
                        self._tools.changed()
            except ListenNotSupportedError:
                return
            except SubscriptionLost:
                pass
            except Exception as e:
                log.info("changes of the tools of %s are not heard of", self._options.name, exc_info=e)
            self._tools.changed()  # what was said meanwhile is not said again

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._tools.changed()

    async def _on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        name = self._options.name
        source = f"{name}/{params.logger}" if params.logger else name
        text = params.data if isinstance(params.data, str) else types.LoggingMessageNotificationParams.model_dump_json(params)
        context = self._flights.belongs_to()
        if context is not None:
            context.log(redact(text), params.level, source)
        else:
            log.log(_LEVELS.get(params.level, 50), "MCP server %s: %s", source, redact(text))

    async def _on_sampling(self, context: Any, params: types.CreateMessageRequestParams) -> Any:
        options = self._options
        of_this_call()
        sampler = Sampler(options.name, options.sampling, options.sampling_model)
        origin = self._flights.belongs_to()
        if origin is not None and options.sampling:
            return await sampler.answer(params, origin)
        async with self._apart.one() as allowed:  # no run bounds it
            return await sampler.answer(params, origin) if allowed else types.ErrorData(code=REFUSED, message=TOO_MANY)

    async def _on_elicitation(self, context: Any, params: types.ElicitRequestParams) -> Any:
        if self._questioner is None or not self._flights.any:
            return types.ErrorData(code=REFUSED, message="nobody is asked while no call is under way")
        origin = self._flights.belongs_to()
        try:
            async with nullcontext() if origin is None else origin.errand():
                return await self._asked(self._questioner, params)
        except CallOver:
            return types.ElicitResult(action="cancel")

    async def _asked(self, questioner: Questioner, params: types.ElicitRequestParams) -> Any:
        heard = of_this_call()
        self._questions += heard is None  # on stdio nothing tells whose question it is: all clocks stand still
        if heard is not None:
            heard.questions += 1
        try:
            return await questioner.answer(params)
        finally:
            self._questions -= heard is None
            if heard is not None:
                heard.questions -= 1

    async def visit(self, page: types.ElicitRequestURLParams) -> bool:
        """Brings the user to a page that a call wants to be visited first; whether they went."""
        if self._options.elicit is None:
            return False
        answer = await self._on_elicitation(None, page)
        return isinstance(answer, types.ElicitResult) and answer.action == "accept"

    async def _on_roots(self, context: Any) -> types.ListRootsResult:
        # The answer is not written yet, and then the server has to take it in.
        asyncio.get_running_loop().call_later(_TAKEN_IN, self._told_roots.set)
        roots = [types.Root(uri=path.as_uri(), name=path.name) for path in self._options.roots]  # pyright: ignore[reportArgumentType]
        return types.ListRootsResult(roots=roots)


async def _take_as_it_is(name: str, result: types.CallToolResult) -> None:
    """The SDK throws a result away that does not fit the server's own schema. The tool has run: what it said must not be lost, so
    the result is checked where it is shown, and a note is added to one that does not fit."""
