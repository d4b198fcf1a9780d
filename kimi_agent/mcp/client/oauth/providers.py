"""The SDK's provider for each grant."""

from collections.abc import Awaitable, Callable
from typing import Any

from jwt.exceptions import PyJWTError
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl, PrivateAttr
from typing_extensions import override

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.oauth.saved import Memory
from kimi_agent.mcp.client.oauth.settings import OAuth

Provider = OAuthClientProvider | IdentityAssertionOAuthProvider
_PLACEHOLDER = "http://127.0.0.1/callback"  # until the listener has its port


class PinnedMetadata(OAuthClientMetadata):
    """The SDK writes into `scope` what the server suggests, over what its user configured."""

    _pinned: str | None = PrivateAttr(default=None)

    def pin(self, scope: str | None) -> None:
        """Keeps `scope` at this; None lets it go."""
        if scope is not None:
            self.scope = scope
        self._pinned = scope

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        if name == "scope" and self._pinned is not None:
            return
        super().__setattr__(name, value)


def fixed_client(oauth: OAuth) -> OAuthClientInformationFull | None:
    """The client that was registered by hand."""
    if oauth.client_id is None:
        return None
    method = oauth.token_auth or ("client_secret_basic" if oauth.client_secret else "none")
    person = oauth.grant == "authorization_code"
    return OAuthClientInformationFull(
        client_id=oauth.client_id,
        client_secret=oauth.client_secret,
        token_endpoint_auth_method=method if person or oauth.client_secret else "private_key_jwt",
        grant_types=["authorization_code", "refresh_token"] if person else ["client_credentials"],
        issuer=oauth.issuer,
    )


async def _never_redirected(url: str) -> None:
    raise NotImplementedError


async def _never_answered() -> AuthorizationCodeResult:
    raise NotImplementedError


def make_provider(oauth: OAuth, url: str, memory: Memory) -> Provider:
    """The provider of the grant, keeping what it gets in `memory`."""
    if oauth.grant == "identity_assertion":
        return _asserting(oauth, url, memory)
    provider = _machine(oauth, url, memory) if oauth.grant == "client_credentials" else _person(oauth, url, memory)
    suggested = provider.context.client_metadata
    metadata = PinnedMetadata.model_validate(suggested.model_dump(exclude_unset=True))
    metadata.pin(oauth.scope)
    provider.context.client_metadata = metadata
    memory.context = provider.context
    return provider


def _person(oauth: OAuth, url: str, memory: Memory) -> OAuthClientProvider:
    metadata = OAuthClientMetadata(
        client_name=oauth.client_name,
        redirect_uris=[AnyUrl(oauth.redirect_uri or _PLACEHOLDER)],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method=oauth.token_auth,
    )
    return OAuthClientProvider(
        url, metadata, memory, _never_redirected, _never_answered, client_metadata_url=oauth.client_metadata_url
    )


def _machine(oauth: OAuth, url: str, memory: Memory) -> OAuthClientProvider:
    client_id = oauth.client_id or ""
    if oauth.client_secret is not None:
        method = "client_secret_post" if oauth.token_auth == "client_secret_post" else "client_secret_basic"
        return ClientCredentialsOAuthProvider(
            url, memory, client_id, oauth.client_secret, method, scope=oauth.scope, issuer=oauth.issuer
        )
    sign = oauth.client_assertion or _signer(oauth, client_id)
    return PrivateKeyJWTOAuthProvider(url, memory, client_id, sign, scope=oauth.scope, issuer=oauth.issuer)


def _signer(oauth: OAuth, client_id: str) -> Callable[[str], Awaitable[str]]:
    key = oauth.private_key or ""
    by_sdk = SignedJWTParameters(
        issuer=client_id, subject=client_id, signing_key=key, signing_algorithm=oauth.signing_algorithm
    ).create_assertion_provider()

    async def sign(audience: str) -> str:
        try:
            return await by_sdk(audience)
        except (PyJWTError, ValueError, TypeError, NotImplementedError) as e:
            raise UserError(f"private_key= cannot sign with {oauth.signing_algorithm}: {e}") from None

    return sign


def _asserting(oauth: OAuth, url: str, memory: Memory) -> IdentityAssertionOAuthProvider:
    assert oauth.identity_assertion is not None  # OAuth has checked it
    method = "client_secret_basic" if oauth.token_auth == "client_secret_basic" else "client_secret_post"
    return IdentityAssertionOAuthProvider(
        url,
        memory,
        oauth.client_id or "",
        oauth.client_secret or "",
        oauth.issuer or "",
        oauth.identity_assertion,
        scope=oauth.scope,
        token_endpoint_auth_method=method,
    )
