"""What is kept of an authorization. The SDK keeps the tokens alone: it forgets when they end and which server renews them, so that
after a restart it sends the refresh token to the wrong address, or asks the person again."""

import time
from typing import Self

from mcp.client.auth.oauth2 import OAuthContext
from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken, ProtectedResourceMetadata
from pydantic import BaseModel, ConfigDict, ValidationError

from kimi_agent.mcp.client.oauth.store import TokenStore
from kimi_agent.redact import get_logger, register_secret

_log = get_logger(__name__)


class Saved(BaseModel):
    """One server's authorization.

    Attributes:
        server: the exact URL that it is for.
        identity: the client it was granted to, as configured: another one starts anew.
        expires_at: Unix time in seconds; None where the server named none.
        client: the registration, by this client or by hand.
        authorization_server: its metadata, with the address that renews tokens.
        resource: the metadata of the MCP server itself.
    """

    model_config = ConfigDict(frozen=True)

    server: str
    identity: str
    tokens: OAuthToken | None = None
    expires_at: float | None = None
    client: OAuthClientInformationFull | None = None
    authorization_server: OAuthMetadata | None = None
    resource: ProtectedResourceMetadata | None = None

    @property
    def access_token(self) -> str | None:
        """None where there is none that is still good."""
        if self.tokens is None or (self.expires_at is not None and time.time() > self.expires_at):
            return None
        return self.tokens.access_token

    @property
    def renewable(self) -> bool:
        """Whether there is a token to renew with."""
        return self.tokens is not None and self.tokens.refresh_token is not None and self.client is not None

    def guarded(self) -> Self:
        """Has `redact` mask every secret in it from now on."""
        for secret in (
            self.tokens and self.tokens.access_token,
            self.tokens and self.tokens.refresh_token,
            self.client and self.client.client_secret,
        ):
            register_secret(secret)
        return self


class Memory:
    """What the SDK calls storage, on one entry of a store; `saved` is as of the last look."""

    def __init__(self, store: TokenStore, server: str, identity: str, client: OAuthClientInformationFull | None) -> None:
        self.saved = Saved(server=server, identity=identity, client=client)
        self.context: OAuthContext | None = None
        self._store = store
        self._fixed_client = client

    def look(self) -> None:
        """Takes up what is in the store, which another process may have written."""
        mine = self.saved
        text = self._store.load(mine.server)
        saved = None if text is None else _read(text)
        if saved is None or (saved.server, saved.identity) != (mine.server, mine.identity):
            saved = Saved(server=mine.server, identity=mine.identity)
        self.saved = saved.model_copy(update={"client": self._fixed_client or saved.client}).guarded()
        if (context := self.context) is not None:
            context.current_tokens = self.saved.tokens
            context.token_expiry_time = self.saved.expires_at
            context.client_info = self.saved.client
            context.oauth_metadata = self.saved.authorization_server
            context.protected_resource_metadata = self.saved.resource
            known = self.saved.authorization_server if self.saved.resource is not None else None
            context.auth_server_url = None if known is None else str(known.issuer)

    async def get_tokens(self) -> OAuthToken | None:
        """The SDK asks on its first request, and counts `expires_in` from now."""
        tokens, ends = self.saved.tokens, self.saved.expires_at
        if tokens is None or ends is None:
            return tokens
        return tokens.model_copy(update={"expires_in": int(ends - time.time())})

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """The SDK has got new ones."""
        ends = None if tokens.expires_in is None else time.time() + tokens.expires_in
        update: dict[str, object] = {"tokens": tokens, "expires_at": ends}
        if self.context is not None:
            update |= {
                "client": self.context.client_info,
                "authorization_server": self.context.oauth_metadata,
                "resource": self.context.protected_resource_metadata,
            }
        self._keep(self.saved.model_copy(update=update))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The registration, configured or kept."""
        return self.saved.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """The SDK has registered: the old tokens belong to another client."""
        if client_info.redirect_uris is None and self.context is not None:  # a server need not repeat what it was sent
            client_info.redirect_uris = self.context.client_metadata.redirect_uris
        self._keep(self.saved.model_copy(update={"client": client_info, "tokens": None, "expires_at": None}))

    def register_anew(self) -> None:
        """Drops a registration that the next authorization can't use; one made by hand stays."""
        if self._fixed_client is None and self.saved.client is not None:
            self._keep(self.saved.model_copy(update={"client": None}))
            self.look()

    def _keep(self, saved: Saved) -> None:
        exclude = None if self._fixed_client is None else {"client"}  # what was configured is not copied into files
        self._store.save(saved.server, saved.model_dump_json(exclude_none=True, exclude=exclude))
        self.saved = saved.model_copy(update={"client": self._fixed_client or saved.client}).guarded()


def _read(text: str) -> Saved | None:
    try:
        return Saved.model_validate_json(text)
    except ValidationError as e:  # its text would show the tokens
        _log.warning("kept tokens cannot be read (%d problems): sign in anew", e.error_count())
        return None
