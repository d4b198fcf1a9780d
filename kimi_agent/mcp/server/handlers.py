"""The requests of the protocol, each answered by what it is about."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.models import InitializationOptions

from kimi_agent.mcp.server.call import ServedCall
from kimi_agent.mcp.server.eras import Request, session_of
from kimi_agent.mcp.server.prompts import Prompts
from kimi_agent.mcp.server.resources import Resources, unknown
from kimi_agent.mcp.server.serving import Serving
from kimi_agent.mcp.server.tools import ServedTools

_EMPTY = types.EmptyResult


class Handlers:
    """One method for each request that runs code or tells of something."""

    def __init__(self, tools: ServedTools, resources: Resources, prompts: Prompts) -> None:
        self.tools, self.resources, self.prompts = tools, resources, prompts

    async def list_tools(self, request: Request, _: types.PaginatedRequestParams) -> types.ListToolsResult:
        """All tools, as they are now."""
        return types.ListToolsResult(tools=await self.tools.declared(ServedCall(_heard(request), request)))

    async def call_tool(self, request: Request, params: types.CallToolRequestParams) -> Any:
        """Runs a tool."""
        return await _heard(request).serve(
            request, params, params.name, lambda call: self.tools.call(call, params.name, params.arguments)
        )

    async def list_resources(self, request: Request, params: types.PaginatedRequestParams) -> types.ListResourcesResult:
        """A page of what can be read."""
        _heard(request)
        return self.resources.listed(request, params.cursor)

    async def list_templates(self, _: Request, __: types.PaginatedRequestParams) -> types.ListResourceTemplatesResult:
        """Families of what can be read."""
        return self.resources.templates()

    async def read_resource(self, request: Request, params: types.ReadResourceRequestParams) -> Any:
        """Reads."""
        return await _heard(request).serve(request, params, params.uri, lambda call: self.resources.read(call, params.uri))

    async def subscribe(self, request: Request, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """The session wants to hear when a resource changes (handshake era)."""
        if not self.resources.has(request, params.uri):
            raise unknown(params.uri)
        _heard(request).subscribe(request, params.uri)
        return _EMPTY()

    async def unsubscribe(self, request: Request, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        """It does not any more."""
        _heard(request).unsubscribe(request, params.uri)
        return _EMPTY()

    async def listen(self, request: Request, params: types.SubscriptionsListenRequestParams) -> types.SubscriptionsListenResult:
        """A stream of changes (modern era)."""
        return await request.lifespan_context.listen(request, params)

    async def list_prompts(self, request: Request, _: types.PaginatedRequestParams) -> types.ListPromptsResult:
        """All prompts."""
        _heard(request)
        return self.prompts.listed()

    async def get_prompt(self, request: Request, params: types.GetPromptRequestParams) -> Any:
        """Makes a prompt."""
        prompt = self.prompts.find(params.name)
        return await _heard(request).serve(request, params, params.name, lambda call: prompt.get(call, params.arguments or {}))

    async def complete(self, _: Request, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Values that an argument may have."""
        ref = params.ref
        if isinstance(ref, types.PromptReference):
            found = await self.prompts.complete(params, ref.name)
        else:
            found = await self.resources.complete(params, ref.uri)
        return types.CompleteResult(completion=found)

    async def set_level(self, request: Request, params: types.SetLevelRequestParams) -> types.EmptyResult:
        """What the session wants to hear of (handshake era)."""
        _heard(request).levels[session_of(request)] = params.level
        return _EMPTY()


class ServedServer(Server[Serving]):
    """The SDK's server with our handlers: it knows the protocol, its eras and its transports."""

    def __init__(
        self,
        name: str,
        *,
        version: str,
        title: str | None,
        instructions: str | None,
        new_serving: Callable[[], Serving],
        handlers: Handlers,
        reads: bool,
    ) -> None:
        super().__init__(
            name,
            version=version,
            title=title,
            instructions=instructions,
            lifespan=self._live,
            get_tool_input_schema=handlers.tools.schema_of,
        )
        self._new_serving = new_serving
        self._open: set[Serving] = set()
        for method, params, handler in _served(handlers, reads):
            self.add_request_handler(method, params, handler)

    @property
    def servings(self) -> tuple[Serving, ...]:
        """Those of the lifespans that are open."""
        return tuple(self._open)

    @asynccontextmanager
    async def _live(self, _: Any) -> AsyncGenerator[Serving]:
        serving = self._new_serving()
        self._open.add(serving)
        try:
            yield serving
        finally:
            self._open.discard(serving)
            await serving.close()

    def create_initialization_options(self, *args: Any, **more: Any) -> InitializationOptions:
        """Says that lists may change: the SDK's transports ask for the options without saying what is announced."""
        given: dict[str, Any] = {"notification_options": NotificationOptions(True, True, True)}
        return super().create_initialization_options(*args, **(more if args else given | more))


def _served(handlers: Handlers, reads: bool) -> list[tuple[str, type[Any], Any]]:
    """The methods of this server: what it has none of it does not speak of."""
    page = types.PaginatedRequestParams
    methods: list[tuple[str, type[Any], Any]] = [
        ("tools/list", page, handlers.list_tools),
        ("tools/call", types.CallToolRequestParams, handlers.call_tool),
        ("logging/setLevel", types.SetLevelRequestParams, handlers.set_level),
        ("subscriptions/listen", types.SubscriptionsListenRequestParams, handlers.listen),
    ]
    if reads:
        methods += [
            ("resources/list", page, handlers.list_resources),
            ("resources/templates/list", page, handlers.list_templates),
            ("resources/read", types.ReadResourceRequestParams, handlers.read_resource),
            ("resources/subscribe", types.SubscribeRequestParams, handlers.subscribe),
            ("resources/unsubscribe", types.UnsubscribeRequestParams, handlers.unsubscribe),
        ]
    if handlers.prompts.by_name:
        methods += [
            ("prompts/list", page, handlers.list_prompts),
            ("prompts/get", types.GetPromptRequestParams, handlers.get_prompt),
        ]
    if reads or handlers.prompts.by_name:
        methods.append(("completion/complete", types.CompleteRequestParams, handlers.complete))
    return methods


def _heard(request: Request) -> Serving:
    request.lifespan_context.heard(request)
    return request.lifespan_context
