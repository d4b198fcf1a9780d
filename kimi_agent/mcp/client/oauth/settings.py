"""How an MCP server is signed in to: the settings, checked."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from kimi_agent.errors import UserError
from kimi_agent.mcp.client.oauth.browser import Open, open_browser
from kimi_agent.mcp.client.oauth.errors import Refusals
from kimi_agent.mcp.client.oauth.store import FileTokenStore, TokenStore

if TYPE_CHECKING:
    from kimi_agent.mcp.client.oauth.session import OAuthSession

Grant = Literal["authorization_code", "client_credentials", "identity_assertion"]
TokenAuth = Literal["client_secret_basic", "client_secret_post", "none"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Signs in to MCP servers as the MCP authorization specification says. One object serves many servers.

    Which client this is, by what is given: a `client_id` registered by hand; else `client_metadata_url`, where the authorization
    server takes such; else it registers itself under `client_name`.

    Args:
        grant: `authorization_code` asks a person in a browser; `client_credentials` is for a program that acts for itself;
            `identity_assertion` exchanges the assertion of a company's identity provider (MCP's enterprise-managed authorization).
        scopes: what to ask for, in place of what the server suggests; one that it demands later is added.
        client_secret: sent to the token endpoint only.
        token_auth: how it is sent; None is `client_secret_basic` with a secret and `none` without.
        client_metadata_url: https URL of this client's metadata document, which is its id.
        redirect_port: the loopback port the browser comes back to; None is the one that was registered, or a free one.
        redirect_uri: the whole address, where a registration by hand demands another than `http://127.0.0.1:PORT/callback`.
        issuer: https URL of the authorization server that knows this client; its secret is sent to no other. Needed wherever there
            is a secret, a key or an assertion: else the MCP server would choose who gets it.
        private_key: PEM text, for `client_credentials` by a signed assertion instead of a secret; `signing_algorithm` goes with it.
        client_assertion: async, from the audience to such an assertion made elsewhere, in place of `private_key`.
        identity_assertion: async, from (audience, resource) to the identity provider's assertion (ID-JAG).
        open: async, takes the URL to sign in at, and returns the URL that the browser was redirected to, or None where it comes to
            the loopback port.
        store: where tokens are kept; by default files of the user's own, which other processes share.
        timeout: seconds for the person.

    Raises:
        UserError: settings that do not go together.
    """

    grant: Grant = "authorization_code"
    scopes: str | Iterable[str] | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_auth: TokenAuth | None = None
    client_name: str = "kimi-agent"
    client_metadata_url: str | None = None
    redirect_port: int | None = None
    redirect_uri: str | None = None
    issuer: str | None = None
    private_key: str | None = field(default=None, repr=False)
    signing_algorithm: str = "RS256"
    client_assertion: Callable[[str], Awaitable[str]] | None = field(default=None, repr=False)
    identity_assertion: Callable[[str, str], Awaitable[str]] | None = field(default=None, repr=False)
    open: Open = field(default=open_browser, repr=False)
    store: TokenStore = field(default_factory=FileTokenStore, repr=False)
    timeout: float = 300.0
    refusals: Refusals = field(default_factory=Refusals, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.scopes is not None and not isinstance(self.scopes, str):
            object.__setattr__(self, "scopes", " ".join(self.scopes))
        _check(self)

    @property
    def scope(self) -> str | None:
        """The scopes as the wire wants them: one text, parted by spaces."""
        return self.scopes if self.scopes is None or isinstance(self.scopes, str) else " ".join(self.scopes)

    @property
    def identity(self) -> str:
        """Which client tokens are granted to, as far as it is configured."""
        return " ".join(filter(None, (self.grant, self.client_id or self.client_metadata_url, self.issuer)))

    def provider(self, url: str) -> "OAuthSession":
        """An `httpx2.Auth` for the server at `url`: one for each connection. Its tokens go to that server's origin only.

        Raises UserError where the URL is no https URL and not of this machine.
        """
        from kimi_agent.mcp.client.oauth.session import OAuthSession

        if not _is_safe(url):
            raise UserError(f"OAuth needs an https URL, or an http URL of this machine: tokens would go in the clear to {url!r}")
        return OAuthSession(self, url)

    def forget(self, url: str) -> None:
        """Signs out: forgets the tokens and the registration for a server."""
        self.refusals.clear(url)
        self.store.remove(url)

    def signed_in(self, url: str) -> bool:
        """Whether there is a token for a server, good or to be renewed. Nothing is asked of the server."""
        return self.provider(url).signed_in


def _check(oauth: OAuth) -> None:
    problems = {
        "client_credentials": _machine_problem,
        "identity_assertion": _assertion_problem,
        "authorization_code": _person_problem,
    }
    find = problems.get(oauth.grant)
    if find is None:
        raise UserError(f"grant={oauth.grant!r} is none of {', '.join(problems)}")
    if problem := find(oauth):
        raise UserError(f'OAuth(grant="{oauth.grant}"): {problem}')


def _machine_problem(oauth: OAuth) -> str | None:
    ways = [oauth.client_secret, oauth.private_key, oauth.client_assertion]
    if not oauth.client_id:
        return "client_id= is missing"
    if sum(way is not None for way in ways) != 1:
        return "give exactly one of client_secret=, private_key= and client_assertion="
    return _issuer_problem(oauth)


def _assertion_problem(oauth: OAuth) -> str | None:
    if not oauth.client_id or not oauth.client_secret:
        return "client_id= and client_secret= are needed"
    if oauth.identity_assertion is None:
        return "identity_assertion= is needed: an async function from (audience, resource) to the assertion"
    return _issuer_problem(oauth)


def _issuer_problem(oauth: OAuth) -> str | None:
    if oauth.token_auth == "none":
        return 'token_auth="none" would not send the secret: leave it out'
    if oauth.issuer is None:
        return (
            'issuer= is missing ("issuer" in a file): write the URL of the authorization server that knows this client. '
            "Else the MCP server would choose who gets what is secret"
        )
    return _address_problem(oauth.issuer)


def _address_problem(issuer: str) -> str | None:
    return None if _is_safe(issuer) else "issuer= must be the https URL of an authorization server, or an http URL of this machine"


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
    except ValueError:
        return False


def _person_problem(oauth: OAuth) -> str | None:
    if oauth.client_secret and not oauth.client_id:
        return "client_secret= needs client_id="
    if oauth.client_metadata_url is not None:
        parts = urlsplit(oauth.client_metadata_url)
        if parts.scheme != "https" or parts.path in ("", "/"):
            return "client_metadata_url= must be an https URL with a path"
    if oauth.redirect_uri is not None and oauth.redirect_port is not None:
        return "redirect_uri= holds the port already: leave redirect_port= out"
    if oauth.private_key or oauth.client_assertion or oauth.identity_assertion:
        return "private_key=, client_assertion= and identity_assertion= are of the other grants"
    if oauth.client_secret:
        return _issuer_problem(oauth)
    return None if oauth.issuer is None else _address_problem(oauth.issuer)
