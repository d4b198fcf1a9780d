"""Where a sign-in may lead. The MCP server names the addresses, and may be anybody: without this it would have the client send
requests to what only this machine can reach, or have itself given what is meant for another."""

from typing import Final

import httpx2
from mcp.client.auth.oauth2 import OAuthContext

from kimi_agent.mcp.client.oauth.errors import OAuthFailed
from kimi_agent.mcp.client.oauth.legacy import origin
from kimi_agent.mcp.client.oauth.reach import Reach, reaches
from kimi_agent.mcp.client.oauth.settings import LOOPBACK, OAuth

_WAY_OUT: Final = "where that is right, name the authorization server: OAuth(issuer=…)"


class Vetting:
    """For the server of one connection. What the user named, the server's own origin and that of `issuer=`, is always good."""

    def __init__(self, oauth: OAuth, server: httpx2.URL) -> None:
        self._issuer = oauth.issuer
        self._server = server
        self._named = [server] if oauth.issuer is None else [server, httpx2.URL(oauth.issuer)]

    async def check(self, url: httpx2.URL, context: OAuthContext | None) -> None:
        """Raises OAuthFailed for an address that is not for this server to name.

        Args:
            context: the SDK's flow, which knows the authorization server.
        """
        if origin(url) in map(origin, self._named):
            return
        shown = f"{url.scheme}://{url.netloc.decode()}"
        if url.scheme == "http":
            if not self._is_of_this_machine(url, context):
                raise OAuthFailed(f"it leads to {shown}, which is no https address; {_WAY_OUT}")
        elif url.scheme != "https":
            raise OAuthFailed(f"it leads to {shown}, which is no https address")
        reach = max(await reaches(url.host))
        if reach is Reach.NOWHERE or reach > await self._innermost():
            raise OAuthFailed(f"it leads to {shown}, which is of this machine or its own network; {_WAY_OUT}")

    def check_issuer(self, request: httpx2.Request | None, context: OAuthContext | None) -> None:
        """Raises OAuthFailed where a client registered by hand would be shown to another authorization server than its own.

        Args:
            request: what is to be sent; None is the page at which a person signs in.
        """
        if self._issuer is None or context is None or (request is not None and request.method != "POST"):
            return
        metadata = context.oauth_metadata
        told = context.auth_server_url if metadata is None else str(metadata.issuer)
        mine = metadata is not None and str(metadata.issuer).rstrip("/") == self._issuer.rstrip("/")
        if not mine or context.client_info is None:
            raise OAuthFailed(f"issuer= is {self._issuer}, and the server has its users sign in at {told or 'no known place'}")
        if request is not None and metadata is not None and origin(request.url) != origin(httpx2.URL(str(metadata.token_endpoint))):
            raise OAuthFailed("the request is not for the token endpoint of issuer=")

    def _is_of_this_machine(self, url: httpx2.URL, context: OAuthContext | None) -> bool:
        """Only the authorization server itself: other programs listen on other ports."""
        named = context and context.auth_server_url
        local = url.host in LOOPBACK and self._server.host in LOOPBACK
        return local and bool(named) and origin(url) == origin(httpx2.URL(str(named)))

    async def _innermost(self) -> Reach:
        return max([min(await reaches(url.host)) for url in self._named])
