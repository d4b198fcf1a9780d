"""Where an MCP server may send a client that signs in: it names the addresses, and may be anybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import httpx2
import pytest
from aiohttp import web
from oauth_server import World, get, oauth_world

from kimi_agent.mcp.client.oauth import MemoryTokenStore, OAuth, OAuthFailed
from kimi_agent.mcp.client.oauth.reach import Reach, reach_of
from kimi_agent.mcp.client.oauth.vetting import Vetting

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def neighbour() -> AsyncIterator[tuple[str, list[str]]]:
    """Another program of this machine: its address, and the requests that it saw."""
    seen: list[str] = []

    async def anything(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path}")
        return web.Response(status=403, text="internal-service says: db_password=hunter2-hunter2")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", anything)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def refused(world: World, **settings: str) -> str:
    oauth = OAuth(open=world.browser, store=MemoryTokenStore(), **settings)  # type: ignore[arg-type]
    with pytest.raises(OAuthFailed) as failed:
        await get(oauth, world)
    return str(failed.value)


@pytest.mark.parametrize("what", ["prm", "registration_endpoint", "token_endpoint", "authorization_endpoint"])
async def test_a_server_of_this_machine_leads_to_no_other_program_of_it(what: str) -> None:
    async with oauth_world() as world, neighbour() as (address, seen):
        if what == "prm":
            world.prm = address + "/internal/prm"
        else:
            world.endpoints[what] = address + "/admin"
        assert "no https address" in await refused(world)
        assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/user-data",
        "https://169.254.169.254/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://0.0.0.0/x",
    ],
)
async def test_nobody_leads_to_the_keys_of_a_cloud_machine(url: str) -> None:
    async with oauth_world() as world:
        world.prm = url
        assert "it leads to http" in await refused(world)
        world.prm, world.endpoints = None, {"registration_endpoint": url}
        assert "it leads to http" in await refused(world)


async def test_a_secret_is_shown_to_no_authorization_server_but_its_own() -> None:
    async with oauth_world() as world, oauth_world() as corporate:
        corporate.clients["corp-app"] = {"client_secret": "TOP-SECRET", "redirect_uris": []}
        mine = {"client_id": "corp-app", "client_secret": "TOP-SECRET", "issuer": corporate.issuer}
        told = await refused(world, **mine)
        assert f"issuer= is {corporate.issuer}" in told and world.issuer in told
        assert world.forms == world.registrations == world.authorizations == []


async def test_nor_to_the_server_where_its_own_cannot_be_found() -> None:
    async with oauth_world() as world, neighbour() as (address, _):  # which has no metadata: the SDK falls back on the server
        world.named = address
        told = await refused(world, client_id="corp-app", client_secret="TOP-SECRET", issuer=address)
        assert f"issuer= is {address}" in told
        assert world.forms == world.authorizations == []


async def test_what_a_stranger_answers_is_not_told() -> None:
    async with oauth_world() as world:
        world.token_error = "internal-service says: db_password=hunter2-hunter2"
        assert "hunter2" not in await refused(world)
        world.token_error = '{"error": "invalid_\\u001b[2Jgrant", "error_description": "' + "x" * 900 + '", "password": "hunter2"}'
        told = await refused(world)
        assert "invalid_" in told and "hunter2" not in told and "\x1b" not in told and "x" * 201 not in told
        world.endpoints["token_endpoint"] = "hunter2-is-no-url"
        assert "hunter2" not in await refused(world)


async def test_an_answer_without_end_is_not_read() -> None:
    async with oauth_world() as world:
        world.token_error = "x" * 2_000_000
        assert "larger than 1 MiB" in await refused(world)


@pytest.mark.parametrize(
    ("server", "url", "good"),
    [
        ("https://93.184.215.14/mcp", "https://93.184.215.15/token", True),
        ("https://93.184.215.14/mcp", "https://10.0.0.1/token", False),
        ("https://93.184.215.14/mcp", "https://127.0.0.1/token", False),
        ("https://93.184.215.14/mcp", "https://localhost/token", False),
        ("https://93.184.215.14/mcp", "https://2130706433/token", False),  # 127.0.0.1, as some resolvers read it
        ("https://93.184.215.14/mcp", "https://[::1]/token", False),
        ("https://93.184.215.14/mcp", "http://127.0.0.1/token", False),
        ("https://93.184.215.14/mcp", "http://93.184.215.15/token", False),
        ("https://93.184.215.14/mcp", "https://100.100.100.200/token", False),
        ("https://93.184.215.14/mcp", "ftp://93.184.215.15/token", False),
        ("https://10.0.0.1/mcp", "https://10.0.0.2/token", True),
        ("https://10.0.0.1/mcp", "https://93.184.215.15/token", True),
        ("https://10.0.0.1/mcp", "https://127.0.0.1/token", False),
        ("http://127.0.0.1:1/mcp", "http://127.0.0.1:1/token", True),
        ("http://127.0.0.1:1/mcp", "http://127.0.0.1:2/token", False),
        ("http://127.0.0.1:1/mcp", "https://10.0.0.2/token", True),
        ("http://127.0.0.1:1/mcp", "https://169.254.0.1/token", False),
    ],
)
async def test_nobody_leads_further_in_than_they_are(server: str, url: str, good: bool) -> None:
    vetting = Vetting(OAuth(store=MemoryTokenStore()), httpx2.URL(server))
    if good:
        await vetting.check(httpx2.URL(url), None)
    else:
        with pytest.raises(OAuthFailed, match="it leads to"):
            await vetting.check(httpx2.URL(url), None)


async def test_what_the_user_names_is_good() -> None:
    oauth = OAuth(issuer="https://10.0.0.1", store=MemoryTokenStore())
    vetting = Vetting(oauth, httpx2.URL("https://93.184.215.14/mcp"))
    await vetting.check(httpx2.URL("https://10.0.0.1/token"), None)
    await vetting.check(httpx2.URL("https://10.0.0.2/token"), None)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.PUBLIC), ("2606:4700::1111", Reach.PUBLIC), ("198.18.0.7", Reach.PUBLIC),
        ("64:ff9b::808:808", Reach.PUBLIC),
        ("192.168.1.1", Reach.PRIVATE), ("fd00:ec2::254", Reach.PRIVATE), ("64:ff9b::a00:1", Reach.PRIVATE),
        ("127.9.9.9", Reach.LOOPBACK), ("::ffff:127.0.0.1", Reach.LOOPBACK), ("2002:7f00:1::", Reach.LOOPBACK),
        ("169.254.169.254", Reach.NOWHERE), ("fe80::1", Reach.NOWHERE), ("0.0.0.0", Reach.NOWHERE), ("ff02::1", Reach.NOWHERE),
    ],
)  # fmt: skip
def test_how_far_in_an_address_lies(address: str, reach: Reach) -> None:
    assert reach_of(ip_address(address)) is reach
