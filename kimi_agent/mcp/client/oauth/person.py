"""A person who signs in: where the browser comes back to, and what is done with the answer."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import AuthorizationCodeResult
from pydantic import AnyUrl

from kimi_agent.mcp.client.oauth.errors import OAuthFailed
from kimi_agent.mcp.client.oauth.redirect import Answer, RedirectListener, accepted, listening, read_answer
from kimi_agent.mcp.client.oauth.saved import Memory
from kimi_agent.mcp.client.oauth.settings import LOOPBACK, OAuth

_PATH = "/callback"


class Person:
    """Asks a person on behalf of one connection."""

    def __init__(self, oauth: OAuth, memory: Memory, vet: Callable[[str], Awaitable[None]]) -> None:
        """`vet` raises OAuthFailed for a page that nobody is to be sent to."""
        self.waiting = False
        self._oauth = oauth
        self._memory = memory
        self._vet = vet
        self._answer: Answer | None = None

    @asynccontextmanager
    async def ready(self) -> AsyncGenerator[None]:
        """The address to come back to is open while this lasts, and the SDK's flow knows it.

        Raises UserError where the port that was asked for is taken.
        """
        context = self._memory.context
        assert context is not None  # the provider of this grant has one
        context.callback_handler = self._answered
        uri = urlsplit(self._oauth.redirect_uri or "")
        if uri.scheme and uri.hostname not in LOOPBACK:
            context.redirect_handler = lambda url: self._ask(url, None)
            yield
            return
        fixed = uri.port or (80 if uri.scheme else None) or self._oauth.redirect_port
        port = self._registered_port() if fixed is None else fixed
        async with listening(port, uri.path or _PATH, or_any=fixed is None) as listener:
            if not uri.scheme:
                self._come_back_to(context, f"http://127.0.0.1:{listener.port}{_PATH}")
            context.redirect_handler = lambda url: self._ask(url, listener)
            yield

    def _registered_port(self) -> int:
        """Authorization servers should take any loopback port (RFC 8252), and many take only the one that was registered."""
        client = self._memory.saved.client
        uris = (client and client.redirect_uris) or []
        return next((uri.port for uri in uris if uri.host in LOOPBACK and uri.port), 0)

    def _come_back_to(self, context: OAuthContext, uri: str) -> None:
        context.client_metadata.redirect_uris = [AnyUrl(uri)]
        client = self._memory.saved.client
        portable = client is not None and client.client_id in (self._oauth.client_id, self._oauth.client_metadata_url)
        if client is not None and not portable and AnyUrl(uri) not in (client.redirect_uris or []):
            self._memory.register_anew()

    async def _ask(self, url: str, listener: RedirectListener | None) -> None:
        await self._vet(url)
        if listener is not None:
            listener.expect(parse_qs(urlsplit(url).query).get("state", [""])[0])
        self.waiting = True
        try:
            async with asyncio.timeout(self._oauth.timeout):
                redirected = await self._oauth.open(url)
                if redirected is not None:
                    self._answer = read_answer(redirected)
                elif listener is None:
                    raise OAuthFailed("open= returned None, and redirect_uri= is not of this machine: nothing can come back")
                else:
                    self._answer = await listener.wait()
        except TimeoutError:
            raise OAuthFailed(f"nobody signed in within {self._oauth.timeout:g} s") from None
        finally:
            self.waiting = False

    async def _answered(self) -> AuthorizationCodeResult:
        assert self._answer is not None  # the SDK asks behind `_ask`
        answer = accepted(self._answer)
        return AuthorizationCodeResult(code=answer.code, state=answer.state, iss=answer.iss)
