"""An authorization server and an MCP server's door, each on a port of its own, that do what the specifications say and no more."""

import base64
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx
import httpx2
import jwt
from aiohttp import web

from kimi_agent.mcp.client.oauth import OAuth


@dataclass
class World:
    """Both servers: what they saw, and how they are to behave."""

    url: str = ""  # of the MCP server
    issuer: str = ""
    expires_in: int | None = 3600
    rotate: bool = True  # a refresh token is good once
    cimd: bool = False
    legacy: str | None = None  # as of 2025-03-26: the path of an issuer on the MCP server's own port
    registers: bool = True
    endpoints: dict[str, str] = field(default_factory=dict[str, str])  # in place of the right ones
    prm: str | None = None  # where a refusal says that the metadata of the MCP server are
    named: str | None = None  # the authorization server that these name
    token_error: str | None = None  # what /token answers with, and HTTP 400
    renews: bool = True  # False: /token is out of order for renewals
    away: str | None = None  # where /mcp/away redirects to
    refuse: str | None = None  # the error that /authorize redirects with
    needs: dict[str, str] = field(default_factory=dict[str, str])  # path -> scope that a call needs
    suggests: str | None = "mcp"
    public_key: str | None = None  # of a client that signs
    clients: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    access: dict[str, str] = field(default_factory=dict[str, str])  # good token -> its scope
    refresh: dict[str, str] = field(default_factory=dict[str, str])
    grants: list[str] = field(default_factory=list[str])  # of the token requests, in order
    forms: list[dict[str, str]] = field(default_factory=list[dict[str, str]])  # of the token requests
    token_headers: list[Any] = field(default_factory=list[Any])
    registrations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    authorizations: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    calls: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])  # (path, Authorization)
    number: Any = field(default_factory=lambda: itertools.count(1))

    def revoke(self) -> None:
        """The access tokens are dead before their time; what renews them lives."""
        self.access.clear()

    async def browser(self, url: str) -> None:
        """A person who signs in at once: follows the redirect to the loopback listener."""
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(url, follow_redirects=True)
            assert page.status_code == 200, page.text
            assert "state" not in page.text

    async def headless(self, url: str) -> str:
        """The same, handing the redirect back itself."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(url)).headers["location"]


def _metadata(world: World) -> dict[str, Any]:
    if world.legacy is not None:
        return _metadata_of(world, world.url.removesuffix("/mcp") + world.legacy)
    return _metadata_of(world, world.issuer) | {"authorization_response_iss_parameter_supported": True}


def _metadata_of(world: World, issuer: str) -> dict[str, Any]:
    base = world.issuer if world.legacy is None else world.url.removesuffix("/mcp")
    told = {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/oauth/token",  # not where the SDK would guess
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "client_id_metadata_document_supported": world.cimd,
    }
    return told | ({"registration_endpoint": f"{base}/register"} if world.registers else {}) | world.endpoints


async def _register(world: World, request: web.Request) -> web.Response:
    wanted = await request.json()
    world.registrations.append(wanted)
    client = wanted | {"client_id": f"client-{next(world.number)}", "token_endpoint_auth_method": "none"}
    world.clients[client["client_id"]] = client
    return web.json_response(client, status=201)


def _authorize(world: World, request: web.Request) -> web.Response:
    asked = dict(request.query)
    world.authorizations.append(asked)
    client = world.clients.get(asked["client_id"])
    if client is None and not (world.cimd and asked["client_id"].startswith("https://")):
        return web.Response(status=400, text="unknown client")
    if client is not None and asked["redirect_uri"] not in client["redirect_uris"]:
        return web.Response(status=400, text="unknown redirect")
    answer = {"state": asked["state"]} | ({} if world.legacy is not None else {"iss": world.issuer})
    if world.refuse:
        answer |= {"error": world.refuse}
    else:
        answer["code"] = f"code-{next(world.number)}"
        world.codes[answer["code"]] = asked
    return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})


def _client_of(world: World, form: dict[str, str], authorization: str | None) -> str | None:
    """The client's id, where it has proved to be it."""
    if authorization and authorization.startswith("Basic "):
        name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
        return unquote(name) if world.clients.get(unquote(name), {}).get("client_secret") == unquote(secret) else None
    if "client_assertion" in form:
        claims = jwt.decode(form["client_assertion"], world.public_key or "", ["ES256"], audience=world.issuer)
        return claims["sub"]
    client = world.clients.get(form.get("client_id", ""), {})
    return form.get("client_id") if client.get("client_secret") == form.get("client_secret") else None


async def _token(world: World, request: web.Request) -> web.Response:
    form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
    grant = form["grant_type"]
    world.grants.append(grant.rpartition(":")[2])
    world.forms.append(form)
    world.token_headers.append(request.headers.get("Authorization"))
    if world.token_error is not None:
        return web.Response(status=400, text=world.token_error)
    if _client_of(world, form, request.headers.get("Authorization")) is None:
        return web.json_response({"error": "invalid_client"}, status=401)
    scope = form.get("scope", "")
    if grant == "authorization_code":
        asked = world.codes.pop(form["code"], None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != digest:
            return web.json_response({"error": "invalid_grant"}, status=400)
        scope = asked.get("scope", "")
    elif grant == "refresh_token":
        if not world.renews:
            return web.Response(status=503)
        known = world.refresh.get(form["refresh_token"])
        if known is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        scope = known
        if world.rotate:
            del world.refresh[form["refresh_token"]]
    return web.json_response(_issue(world, scope, grant != "client_credentials"))


def _issue(world: World, scope: str, renewable: bool) -> dict[str, Any]:
    token = f"access-token-{next(world.number)}"
    world.access[token] = scope
    told: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "scope": scope}
    if world.expires_in is not None:
        told["expires_in"] = world.expires_in
    if renewable:
        told["refresh_token"] = f"refresh-token-{next(world.number)}"
        world.refresh[told["refresh_token"]] = scope
    return told


async def _mcp(request: web.Request) -> web.Response:
    """A server of one tool, in the handshake era."""
    if request.method != "POST":
        return web.Response(status=405)
    message = await request.json()
    method = message["method"]
    if method == "initialize":
        info = {"name": "guarded", "version": "1"}
        result: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "tools/list":
        result = {"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "a guest"}]}
    elif "id" not in message:
        return web.Response(status=202)
    else:
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "what?"}})
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})


async def _call(world: World, request: web.Request) -> web.Response:
    authorization = request.headers.get("Authorization")
    world.calls.append((request.path, authorization))
    prm = world.prm or f"{world.url.removesuffix('/mcp')}/.well-known/oauth-protected-resource/mcp"
    where = f'resource_metadata="{prm}"'
    if world.away is not None and request.path == "/mcp/away":
        return web.Response(status=307, headers={"Location": world.away})
    scope = world.access.get((authorization or "").removeprefix("Bearer "))
    if scope is None:
        return web.Response(status=401, headers={"WWW-Authenticate": f"Bearer {where}"})
    need = world.needs.get(request.path)
    if need is not None and need not in scope.split():
        return web.Response(status=403, headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{need}", {where}'})
    return await _mcp(request) if request.can_read_body else web.json_response({"scope": scope})


def _resource(world: World, request: web.Request) -> web.Response:
    if world.legacy is not None:
        return web.Response(status=404)
    told: dict[str, Any] = {"resource": world.url, "authorization_servers": [world.named or world.issuer]}
    return web.json_response(told | ({"scopes_supported": world.suggests.split()} if world.suggests else {}))


@asynccontextmanager
async def _listen(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def oauth_world() -> AsyncIterator[World]:
    """Both servers, running."""
    world = World()

    async def metadata(request: web.Request) -> web.Response:
        return web.json_response(_metadata(world))

    async def register(request: web.Request) -> web.Response:
        return await _register(world, request)

    async def authorize(request: web.Request) -> web.Response:
        return _authorize(world, request)

    async def token(request: web.Request) -> web.Response:
        return await _token(world, request)

    async def resource(request: web.Request) -> web.Response:
        return _resource(world, request)

    async def call(request: web.Request) -> web.Response:
        return await _call(world, request)

    authority, server = web.Application(), web.Application()
    authority.router.add_get("/.well-known/oauth-authorization-server", metadata)
    for app in (authority, server):  # a server of 2025-03-26 does both
        app.router.add_post("/register", register)
        app.router.add_get("/authorize", authorize)
        app.router.add_post("/oauth/token", token)
    server.router.add_get("/.well-known/oauth-protected-resource/mcp", resource)
    server.router.add_get("/.well-known/oauth-authorization-server", metadata)
    server.router.add_route("*", "/mcp", call)
    server.router.add_route("*", "/mcp/{rest:.*}", call)
    async with AsyncExitStack() as stack:
        world.issuer = await stack.enter_async_context(_listen(authority))
        world.url = f"{await stack.enter_async_context(_listen(server))}/mcp"
        assert urlsplit(world.url).netloc != urlsplit(world.issuer).netloc
        yield world


async def get(oauth: OAuth, world: World, path: str = "", **options: Any) -> httpx2.Response:
    """A request on a connection of its own, as another process would make it."""
    async with httpx2.AsyncClient(auth=oauth.provider(world.url), trust_env=False, **options) as client:
        return await client.get(world.url + path)
