"""How an entry says to sign in, in the spellings of Claude Code and VS Code (`clientId`) and Cursor (`CLIENT_ID`)."""

from collections.abc import Callable
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from kimi_agent.mcp.client.oauth.settings import Grant, OAuth, TokenAuth

Fill = Callable[[str, str], str]


def _key(camel: str) -> Any:
    upper = "".join(f"_{c}" if c.isupper() else c for c in camel).upper()
    return Field(default=None, validation_alias=AliasChoices(camel, upper, upper.lower()), serialization_alias=camel)


class Authorization(BaseModel):
    """The settings of `OAuth` that a file can hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grant: Grant = "authorization_code"
    client_id: str | None = _key("clientId")
    client_secret: str | None = _key("clientSecret")
    scopes: str | tuple[str, ...] | None = Field(default=None, validation_alias=AliasChoices("scopes", "scope", "SCOPES"))
    callback_port: int | None = _key("callbackPort")
    redirect_uri: str | None = _key("redirectUri")
    issuer: str | None = None
    client_metadata_url: str | None = _key("clientMetadataUrl")
    token_auth: TokenAuth | None = _key("tokenEndpointAuthMethod")

    def settings(self, fill: Fill) -> OAuth:
        """The settings with their variables filled in. Raises UserError where they do not go together."""

        def filled(field: str, text: str | None) -> str | None:
            return None if text is None else fill(f"auth.{field}", text)

        return OAuth(
            grant=self.grant,
            client_id=filled("clientId", self.client_id),
            client_secret=filled("clientSecret", self.client_secret),
            scopes=self.scopes,
            redirect_port=self.callback_port,
            redirect_uri=filled("redirectUri", self.redirect_uri),
            issuer=filled("issuer", self.issuer),
            client_metadata_url=filled("clientMetadataUrl", self.client_metadata_url),
            token_auth=self.token_auth,
        )
