"""The `httpx2.Auth` of one connection. The SDK's provider makes the requests of a flow; this decides when there is one.

Used alone, the SDK's provider holds a lock while a request is answered, so that a slow tool call holds all others up; it asks the
person where a refresh would do; and providers of one server do not know of each other. Here a request carries its token freely;
only what obtains a token is one at a time, for all connections and processes that share the store.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.utils import extract_field_from_www_auth
from pydantic import ValidationError
from typing_extensions import override

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.oauth.answers import one_line, readable
from kimi_agent.mcp.client.oauth.errors import OAuthFailed
from kimi_agent.mcp.client.oauth.legacy import at_root, origin
from kimi_agent.mcp.client.oauth.person import Person
from kimi_agent.mcp.client.oauth.providers import PinnedMetadata, fixed_client, make_provider
from kimi_agent.mcp.client.oauth.saved import Memory
from kimi_agent.mcp.client.oauth.settings import OAuth
from kimi_agent.mcp.client.oauth.vetting import Vetting
from kimi_agent.redact import register_secret

_MOST_ROUNDS = 5  # of a request: others may renew the token meanwhile, again and again
_EXPIRED = 1.0  # Unix time; the SDK takes 0 for "never"

Flow = AsyncGenerator[httpx2.Request, httpx2.Response]


@dataclass(slots=True)
class _Tried:
    renewed: bool = False
    authorized: bool = False


class OAuthSession(httpx2.Auth):
    """Made by `OAuth.provider(url)`. The token goes to the origin of `url` and nowhere else."""

    def __init__(self, oauth: OAuth, url: str) -> None:
        register_secret(oauth.client_secret)
        self._oauth = oauth
        self._url = httpx2.URL(url)
        self._key = url
        self._memory = Memory(oauth.store, url, oauth.identity, fixed_client(oauth))
        self._provider = make_provider(oauth, url, self._memory)
        self._vetting = Vetting(oauth, self._url)
        self._person = Person(oauth, self._memory, self._vet_page) if oauth.grant == "authorization_code" else None

    @property
    def waiting(self) -> bool:
        """Whether a person is being asked right now: no time-out of a server should count that."""
        return self._person is not None and self._person.waiting

    @property
    def signed_in(self) -> bool:
        """Whether there is a token, good or to be renewed."""
        self._memory.look()
        return self._memory.saved.access_token is not None or self._memory.saved.renewable

    @override
    async def async_auth_flow(self, request: httpx2.Request) -> Flow:
        """Sends the request with the token there is; where it is refused, gets a better one and sends it once more.

        Raises:
            OAuthFailed: no token could be had.
            UserError: nobody is there to ask.
        """
        if not self._is_mine(request.url):
            yield request
            return
        tried, challenge = _Tried(), None
        self._memory.look()
        for _ in range(_MOST_ROUNDS):
            token = self._token(tried)
            if token is not None or tried.renewed or not self._memory.saved.renewable:
                _authorize(request, token)
                challenge = yield request
                if tried.authorized or not _is_challenge(challenge) or not self._is_mine(challenge.request.url):
                    return
            async with self._oauth.store.lock(self._key):
                self._memory.look()
                if self._memory.saved.access_token not in (None, token):
                    continue  # somebody else has got a new one meanwhile
                async with aclosing(self._obtain(request, challenge, tried)) as steps:
                    response = None
                    while (step := await _next(steps, response)) is not None:
                        response = yield step
        _authorize(request, self._token(tried))
        yield request  # the client takes the answer to what came last for the answer to the request

    def _is_mine(self, url: httpx2.URL) -> bool:
        """Whether a URL is of this server: a redirect may have led elsewhere, and a stranger is not to say where to sign in."""
        return origin(url) == origin(self._url)

    def _token(self, tried: _Tried) -> str | None:
        saved = self._memory.saved
        fresh = tried.renewed or tried.authorized  # even if it was born old: it is as good as they come
        return saved.tokens.access_token if fresh and saved.tokens is not None else saved.access_token

    async def _obtain(self, request: httpx2.Request, challenge: httpx2.Response | None, tried: _Tried) -> Flow:
        """The requests of one flow of the SDK, but for `request` itself: its turn is when the flow is over, the locks free."""
        before = self._memory.saved.tokens
        self._prepare(_is_step_up(challenge), tried)
        request.headers.pop("Authorization", None)
        async with AsyncExitStack() as stack:
            flow = await stack.enter_async_context(aclosing(self._provider.async_auth_flow(request)))
            outgoing = await self._advance(flow, None, request)
            while outgoing is not None:
                if outgoing is not request:
                    response = await self._judged((yield outgoing), tried)
                elif self._memory.saved.tokens is not before or challenge is None or tried.authorized:
                    return
                else:
                    self._oauth.refusals.check(self._key)
                    response, tried.authorized = challenge, True
                    self._let_scopes_grow(_is_step_up(challenge))
                    if self._person is not None:
                        await stack.enter_async_context(self._person.ready())
                outgoing = await self._advance(flow, response, request)

    def _prepare(self, step_up: bool, tried: _Tried) -> None:
        """Has the SDK's flow begin with the renewal of the token, once, where that can help."""
        if step_up:
            return
        context, again = self._memory.context, tried.renewed
        tried.renewed = again or self._memory.saved.renewable
        if context is not None and again:
            context.clear_tokens()
        elif context is not None and tried.renewed:
            context.token_expiry_time = _EXPIRED

    async def _judged(self, response: httpx2.Response, tried: _Tried) -> httpx2.Response:
        """The answer to a request of the flow. Raises OAuthFailed where it says to come back later: the SDK would ask again."""
        if tried.renewed and not tried.authorized and (response.status_code >= 500 or response.status_code == 429):
            raise OAuthFailed(f"the token for {self._told} cannot be renewed now: HTTP {response.status_code}")
        response = await readable(response)
        if self._memory.context is not None and self._memory.context.auth_server_url is None:
            return at_root(response, self._url)
        return response

    async def _vet(self, request: httpx2.Request) -> None:
        await self._vetting.check(request.url, self._memory.context)
        self._vetting.check_issuer(request, self._memory.context)
        request.headers["Accept-Encoding"] = "identity"

    async def _vet_page(self, url: str) -> None:
        await self._vetting.check(httpx2.URL(url), self._memory.context)
        self._vetting.check_issuer(None, self._memory.context)

    def _let_scopes_grow(self, step_up: bool) -> None:
        """Configured scopes are asked for as they are, until the server says that a call needs more."""
        context = self._memory.context
        if context is None or self._oauth.scope is None or not isinstance(context.client_metadata, PinnedMetadata):
            return
        context.client_metadata.pin(None if step_up else context.client_metadata.scope)

    async def _advance(self, flow: Flow, response: httpx2.Response | None, request: httpx2.Request) -> httpx2.Request | None:
        try:
            outgoing = await _next(flow, response)
            if outgoing is not None and outgoing is not request:
                await self._vet(outgoing)
            return outgoing
        except (OAuthFlowError, OAuthFailed, ValidationError) as e:
            self._memory.register_anew()  # a registration that the server has forgotten would fail for ever
            failed = OAuthFailed(f"signing in to {self._told} failed: {_problem(e)}")
            self._oauth.refusals.note(self._key, failed)
            raise failed from None
        except UserError as e:
            self._oauth.refusals.note(self._key, e)
            raise

    @property
    def _told(self) -> str:
        return str(self._url.copy_with(query=None, fragment=None))


async def _next(flow: Flow, response: httpx2.Response | None) -> httpx2.Request | None:
    try:
        return await (anext(flow) if response is None else flow.asend(response))
    except StopAsyncIteration:
        return None


def _problem(error: Exception) -> str:
    """Without what an answer holds, which the text of a ValidationError shows."""
    found = error if isinstance(error, ValidationError) else error.__context__
    return f"{found.error_count()} problems in its answer" if isinstance(found, ValidationError) else one_line(str(error), 500)


def _authorize(request: httpx2.Request, token: str | None) -> None:
    if token is None:
        request.headers.pop("Authorization", None)
    else:
        request.headers["Authorization"] = f"Bearer {token}"


def _is_challenge(response: httpx2.Response) -> bool:
    return response.status_code == 401 or _is_step_up(response)


def _is_step_up(response: httpx2.Response | None) -> bool:
    """RFC 6750, section 3.1: the token is good, and not for this."""
    return (
        response is not None
        and response.status_code == 403
        and extract_field_from_www_auth(response, "error") == "insufficient_scope"
    )
