"""Signing in to an MCP server, against a real authorization server on another port."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from oauth_server import get, oauth_world

from kimi_agent import UserError
from kimi_agent.errors import MCPServerError
from kimi_agent.mcp.client.many import mcp_servers
from kimi_agent.mcp.client.oauth import FileTokenStore, MemoryTokenStore, OAuth, OAuthFailed, no_browser
from kimi_agent.mcp.client.server import MCPServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_person_signs_in_once_and_is_not_asked_again(tmp_path: Path) -> None:
    async with oauth_world() as world:
        store = FileTokenStore(tmp_path / "tokens")
        oauth = OAuth(open=world.browser, store=store)
        assert not oauth.signed_in(world.url)
        assert (await get(oauth, world)).json() == {"scope": "mcp"}
        assert oauth.signed_in(world.url)
        asked = world.authorizations[0]
        assert asked["resource"] == world.url and asked["code_challenge_method"] == "S256"
        assert urlsplit(asked["redirect_uri"]).hostname == "127.0.0.1"
        assert world.forms[0]["resource"] == world.url
        again = OAuth(open=no_browser, store=FileTokenStore(tmp_path / "tokens"))  # another process
        assert (await get(again, world)).status_code == 200
        assert len(world.authorizations) == 1 and world.grants == ["authorization_code"]


async def test_after_a_restart_an_expired_token_is_renewed_where_it_came_from(tmp_path: Path) -> None:
    async with oauth_world() as world:
        store = FileTokenStore(tmp_path)
        await get(OAuth(open=world.browser, store=store), world)
        saved = json.loads(store.load(world.url) or "")
        store.save(world.url, json.dumps(saved | {"expires_at": 1000.0}))
        sent = len(world.calls)
        assert (await get(OAuth(open=no_browser, store=store), world)).status_code == 200
        assert world.grants == ["authorization_code", "refresh_token"]
        assert len(world.calls) == sent + 1  # the old token was not even tried
        assert (await get(OAuth(open=no_browser, store=store), world)).status_code == 200
        assert world.grants[2:] == []


async def test_a_token_revoked_before_its_time_is_renewed_without_the_person() -> None:
    async with oauth_world() as world:
        store = MemoryTokenStore()
        await get(OAuth(open=world.browser, store=store), world)
        world.revoke()
        assert (await get(OAuth(open=no_browser, store=store), world)).status_code == 200
        assert world.grants == ["authorization_code", "refresh_token"]


async def test_the_person_is_asked_again_when_nothing_renews_the_token() -> None:
    async with oauth_world() as world:
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        await get(oauth, world)
        world.revoke()
        world.refresh.clear()
        assert (await get(oauth, world)).status_code == 200
        assert world.grants == ["authorization_code", "refresh_token", "authorization_code"]
        assert len(world.registrations) == 1  # it comes back to the port that it registered


async def test_a_renewal_that_is_out_of_order_does_not_bother_the_person() -> None:
    async with oauth_world() as world:
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        await get(oauth, world)
        world.revoke()
        world.renews = False
        with pytest.raises(OAuthFailed, match="cannot be renewed now: HTTP 503"):
            await get(oauth, world)
        world.renews = True
        assert (await get(oauth, world)).status_code == 200
        assert len(world.authorizations) == 1


async def test_an_expired_token_that_cannot_be_renewed_asks_the_person() -> None:
    async with oauth_world() as world:
        world.expires_in = -5  # seconds: it is born old
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        assert (await get(oauth, world)).status_code == 200
        world.revoke()
        world.refresh.clear()
        assert (await get(oauth, world)).status_code == 200
        assert len(world.authorizations) == 2


async def test_many_connections_at_once_ask_the_person_once(tmp_path: Path) -> None:
    async with oauth_world() as world:
        oauth = OAuth(open=world.browser, store=FileTokenStore(tmp_path))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(get(oauth, world)) for _ in range(8)]
        assert [task.result().status_code for task in tasks] == [200] * 8
        assert len(world.authorizations) == 1 and len(world.registrations) == 1


async def test_requests_do_not_wait_for_each_others_answers() -> None:
    """The SDK's own provider lets one request through at a time."""
    async with oauth_world() as world:
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        await get(oauth, world)
        auth, request = oauth.provider(world.url), httpx2.Request("POST", world.url)
        first, second = auth.async_auth_flow(request), auth.async_auth_flow(httpx2.Request("POST", world.url))
        assert (await anext(first)).headers["Authorization"].startswith("Bearer access-token")
        assert (await anext(second)).headers["Authorization"].startswith("Bearer access-token")
        await first.aclose()
        await second.aclose()


async def test_forget_signs_out(tmp_path: Path) -> None:
    async with oauth_world() as world:
        oauth = OAuth(open=world.browser, store=FileTokenStore(tmp_path))
        await get(oauth, world)
        oauth.forget(world.url)
        assert not oauth.signed_in(world.url)
        await get(oauth, world)
        assert len(world.authorizations) == 2


async def test_a_call_that_needs_more_scope_asks_for_both() -> None:
    async with oauth_world() as world:
        world.needs["/mcp/write"] = "files:write"
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        await get(oauth, world)
        assert (await get(oauth, world, "/write")).json() == {"scope": "mcp files:write"}
        assert (await get(oauth, world)).json() == {"scope": "mcp files:write"}
        assert len(world.authorizations) == 2


async def test_configured_scopes_are_what_is_asked_for() -> None:
    async with oauth_world() as world:
        world.suggests = "mcp admin everything"
        world.needs["/mcp/write"] = "files:write"
        oauth = OAuth(open=world.browser, store=MemoryTokenStore(), scopes=["mcp", "read"])
        assert (await get(oauth, world)).json() == {"scope": "mcp read"}
        assert (await get(oauth, world, "/write")).json() == {"scope": "mcp read files:write"}
        assert world.registrations[0]["scope"] == "mcp read"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_registered_by_hand(method: Any) -> None:
    async with oauth_world() as world:
        uri = "https://app.example.com/back"
        world.clients["mine"] = {"client_secret": "s3cret-of-mine", "redirect_uris": [uri]}
        oauth = OAuth(
            client_id="mine", client_secret="s3cret-of-mine", token_auth=method, redirect_uri=uri, issuer=world.issuer,
            open=world.headless, store=(store := MemoryTokenStore()),
        )  # fmt: skip
        assert (await get(oauth, world)).status_code == 200
        assert world.registrations == []
        assert (world.token_headers[0] is None) == (method == "client_secret_post")
        assert "s3cret-of-mine" not in (store.load(world.url) or "")
        world.revoke()
        assert (await get(oauth, world)).status_code == 200
        assert world.grants == ["authorization_code", "refresh_token"]


async def test_a_client_known_by_the_url_of_its_metadata() -> None:
    async with oauth_world() as world:
        world.cimd = True
        me = "https://app.example.com/client.json"
        taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        world.clients[me] = {"redirect_uris": [f"http://127.0.0.1:{port}/callback"]}
        oauth = OAuth(client_metadata_url=me, redirect_port=port, open=world.browser, store=MemoryTokenStore())
        async with taken:
            with pytest.raises(UserError, match=f"port {port} for the redirect is not free"):
                await get(oauth, world)
        assert (await get(oauth, world)).status_code == 200
        assert world.authorizations[-1]["client_id"] == me and world.registrations == []


async def test_a_program_signs_in_for_itself() -> None:
    async with oauth_world() as world:
        world.clients["robot"] = {"client_secret": "robots-secret"}
        store = MemoryTokenStore()
        oauth = OAuth(
            grant="client_credentials", client_id="robot", client_secret="robots-secret", issuer=world.issuer, store=store
        )
        assert (await get(oauth, world)).json() == {"scope": "mcp"}
        assert "robots-secret" not in (store.load(world.url) or "")
        world.revoke()
        assert (await get(oauth, world)).status_code == 200
        assert world.grants == ["client_credentials"] * 2


async def test_a_program_signs_in_with_a_key() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    async with oauth_world() as world:
        world.public_key = (
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        )
        settings: dict[str, Any] = {"grant": "client_credentials", "client_id": "robot", "issuer": world.issuer}
        oauth = OAuth(private_key=private, signing_algorithm="ES256", store=MemoryTokenStore(), **settings)
        assert (await get(oauth, world)).status_code == 200
        assert private not in repr(oauth)
        wrong = OAuth(private_key="no key at all", signing_algorithm="ES256", store=MemoryTokenStore(), **settings)
        with pytest.raises(UserError, match="private_key= cannot sign"):
            await get(wrong, world)


async def test_the_assertion_of_a_companys_identity_provider() -> None:
    async with oauth_world() as world:
        world.clients["app"] = {"client_secret": "apps-secret"}

        async def assertion(audience: str, resource: str) -> str:
            assert (audience, resource) == (world.issuer, world.url)
            return "id-jag"

        oauth = OAuth(
            grant="identity_assertion", client_id="app", client_secret="apps-secret", issuer=world.issuer,
            identity_assertion=assertion, store=(store := MemoryTokenStore()),
        )  # fmt: skip
        assert (await get(oauth, world)).status_code == 200
        assert world.forms[0]["assertion"] == "id-jag" and world.grants == ["jwt-bearer"]
        assert (await get(oauth, world)).status_code == 200
        assert len(world.grants) == 1 and "apps-secret" not in (store.load(world.url) or "")
        saved = json.loads(store.load(world.url) or "")
        store.save(world.url, json.dumps(saved | {"expires_at": 1000.0}))
        world.revoke()
        assert (await get(oauth, world)).status_code == 200
        assert world.grants == ["jwt-bearer"] * 2  # a new assertion, whatever else it could be renewed with


@pytest.mark.parametrize("path", ["", "/", "/oauth"])
async def test_a_server_of_2025_03_26_with_its_metadata_at_the_root(path: str) -> None:
    async with oauth_world() as world:
        world.legacy = path
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        assert (await get(oauth, world)).status_code == 200
        world.revoke()
        assert (await get(oauth, world)).status_code == 200
        assert world.grants == ["authorization_code", "refresh_token"]


async def test_an_mcp_server_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("CI", "1")
    async with oauth_world() as world:
        config = {"mcpServers": {"guarded": {"url": world.url, "auth": "oauth"}}}
        async with mcp_servers(config) as servers:
            with pytest.raises(MCPServerError, match="neither a browser nor a terminal"):
                await servers.servers["guarded"].list_tools()
        async with MCPServer(url=world.url, auth=OAuth(open=world.browser)) as server:  # as a person would, once
            assert (await server.call("whoami", {})).value == "a guest"
        async with mcp_servers(config) as servers:
            assert [tool.original for tool in await servers.servers["guarded"].list_tools()] == ["whoami"]
        assert len(world.authorizations) == 1


SIGN_IN = """
import asyncio, sys, httpx2
from kimi_agent.mcp.client.oauth import FileTokenStore, OAuth

async def headless(url):
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).headers["location"]

async def main(url, directory):
    auth = OAuth(open=headless, store=FileTokenStore(directory)).provider(url)
    async with httpx2.AsyncClient(auth=auth, trust_env=False) as client:
        print((await client.get(url)).status_code)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_many_processes_ask_the_person_once_and_renew_once(tmp_path: Path) -> None:
    async with oauth_world() as world:

        async def process() -> bytes:
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SIGN_IN, world.url, str(tmp_path), stdout=asyncio.subprocess.PIPE
            )
            return (await running.communicate())[0]

        async def two() -> None:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(process()) for _ in range(2)]
            assert [task.result() for task in running] == [b"200\n"] * 2

        await two()
        assert world.grants == ["authorization_code"]
        world.revoke()
        await two()
        assert world.grants == ["authorization_code", "refresh_token"]


async def test_who_is_cancelled_while_the_person_is_asked_gives_the_lock_back(tmp_path: Path) -> None:
    async with oauth_world() as world:
        asked = asyncio.Event()

        async def never(url: str) -> None:
            asked.set()
            await asyncio.Event().wait()

        store = FileTokenStore(tmp_path)
        task = asyncio.create_task(get(OAuth(open=never, store=store), world))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await get(OAuth(open=world.browser, store=store), world)).status_code == 200


def test_one_oauth_serves_one_event_loop_after_the_other() -> None:
    async def main() -> None:
        async with oauth_world() as world:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(get(oauth, world))
            assert len(world.authorizations) == 1

    async def headless(url: str) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(url)).headers["location"]

    oauth = OAuth(open=headless, store=MemoryTokenStore())
    asyncio.run(main())
    asyncio.run(main())
