"""What signing in must never do: tell, send elsewhere, believe a stranger, wait for nobody."""

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
from oauth_server import get, oauth_world

from kimi_agent import UserError
from kimi_agent.mcp.client.oauth import FileTokenStore, MemoryTokenStore, OAuth, OAuthFailed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_server_that_is_never_content_is_not_asked_for_ever() -> None:
    async with oauth_world() as world:
        world.needs["/mcp/write"] = "not a scope"
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        assert (await get(oauth, world, "/write")).status_code == 403
        assert len(world.authorizations) <= 2


async def test_a_secret_goes_to_no_other_authorization_server() -> None:
    async with oauth_world() as world:
        oauth = OAuth(
            grant="client_credentials", client_id="robot", client_secret="robots-secret",
            issuer="https://auth.example.com", store=MemoryTokenStore(),
        )  # fmt: skip
        with pytest.raises(OAuthFailed, match="issuer"):
            await get(oauth, world)
        assert world.forms == []


async def test_metadata_at_the_root_may_not_name_another_origin() -> None:
    async with oauth_world() as world:
        world.legacy = "@evil.example/oauth"
        with pytest.raises(OAuthFailed, match="issuer mismatch"):
            await get(OAuth(open=world.browser, store=MemoryTokenStore()), world)
        assert world.registrations == []


async def test_the_person_says_no() -> None:
    async with oauth_world() as world:
        world.refuse = "access_denied"
        with pytest.raises(OAuthFailed, match="access_denied"):
            await get(OAuth(open=world.browser, store=MemoryTokenStore()), world)
        assert world.grants == []


async def test_an_answer_with_another_state_is_not_taken() -> None:
    async with oauth_world() as world:
        pages: list[int] = []

        async def attacked(url: str) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            back = asked["redirect_uri"]
            async with httpx.AsyncClient(trust_env=False) as client:
                for query in ("?code=evil&state=wrong", "?code=evil", "", f"/../other?code=evil&state={asked['state']}"):
                    answer = await client.get(back + query)
                    assert "evil" not in answer.text
                    pages.append(answer.status_code)
            await world.browser(url)

        assert (await get(OAuth(open=attacked, store=MemoryTokenStore()), world)).status_code == 200
        assert pages == [400, 400, 400, 404]
        assert "evil" not in [form.get("code") for form in world.forms]

        async def swapped(url: str) -> str:
            return (await world.headless(url)).replace("state=", "state=x")

        with pytest.raises(OAuthFailed, match=r"[Ss]tate"):
            await get(OAuth(open=swapped, store=MemoryTokenStore()), world)


async def test_nobody_signs_in() -> None:
    async with oauth_world() as world:
        store = MemoryTokenStore()

        asked: list[str] = []

        async def asleep(url: str) -> None:
            assert asked or auth.waiting
            asked.append(url)

        auth = (oauth := OAuth(open=asleep, store=store, timeout=0.05)).provider(world.url)
        async with httpx2.AsyncClient(auth=auth, trust_env=False) as client:
            with pytest.raises(OAuthFailed, match="nobody signed in within"):
                await client.get(world.url)
            assert not auth.waiting
        with pytest.raises(OAuthFailed, match="nobody signed in within"):
            await get(oauth, world)
        assert len(asked) == 1  # who has just not answered is not asked again at once
        oauth.forget(world.url)
        with pytest.raises(OAuthFailed, match="nobody signed in within"):
            await get(oauth, world)
        assert len(asked) == 2
        assert (await get(OAuth(open=world.browser, store=store), world)).status_code == 200


async def test_where_nobody_can_be_asked_it_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    async with oauth_world() as world:
        with pytest.raises(UserError, match="neither a browser nor a terminal"):
            await get(OAuth(store=MemoryTokenStore()), world)


async def test_the_token_stays_with_its_origin() -> None:
    async with oauth_world() as world, oauth_world() as other:
        oauth = OAuth(open=world.browser, store=MemoryTokenStore())
        async with httpx2.AsyncClient(auth=oauth.provider(world.url), trust_env=False, follow_redirects=True) as client:
            assert (await client.get(world.url)).status_code == 200
            assert (await client.get(other.url)).status_code == 401
            world.away = other.url
            assert (await client.get(world.url + "/away")).status_code == 401
        assert other.calls == [("/mcp", None)] * 2
        assert other.authorizations == [] and world.grants == ["authorization_code"]  # the stranger's 401 moves nothing


async def test_tokens_of_another_url_or_client_are_not_used(tmp_path: Path) -> None:
    async with oauth_world() as world:
        store = FileTokenStore(tmp_path)
        await get(OAuth(open=world.browser, store=store), world)
        text = store.load(world.url) or ""
        elsewhere = world.url + "/other"
        store.save(elsewhere, text)  # a file that was moved by hand
        assert not OAuth(store=store).signed_in(elsewhere)
        assert not OAuth(client_id="somebody else", store=store).signed_in(world.url)
        store.save(world.url, text[:-20])
        assert not OAuth(store=store).signed_in(world.url)


async def test_files_are_private(tmp_path: Path) -> None:
    async with oauth_world() as world:
        store = FileTokenStore(tmp_path / "state" / "tokens")
        await get(OAuth(open=world.browser, store=store), world)
        path = store.path(world.url)
        assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
        assert {file.suffix for file in path.parent.iterdir()} == {".json", ".lock"}
        assert "127.0.0.1" not in path.name


async def test_secrets_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async with oauth_world() as world:
        world.clients["mine"] = {"client_secret": "s3cret-of-mine", "redirect_uris": []}
        world.clients["mine"]["redirect_uris"] = [uri := "https://app.example.com/back"]
        secret = "wr0ng-secret-of-mine"
        store = MemoryTokenStore()
        oauth = OAuth(
            client_id="mine", client_secret=secret, issuer=world.issuer, redirect_uri=uri, open=world.headless, store=store
        )
        with pytest.raises(OAuthFailed) as failed:
            await get(oauth, world)
        told = f"{failed.value} {oauth!r} {caplog.text}"
        assert "invalid_client" in told
        for secret in ("wr0ng-secret", world.forms[0]["code"]):
            assert secret not in told


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"grant": "password"}, "none of"),
        ({"client_secret": "x"}, "client_id="),
        ({"client_id": "a", "client_secret": "x"}, "issuer= is missing"),
        ({"client_id": "a", "client_secret": "x", "issuer": "http://auth.example.com"}, "https URL"),
        ({"client_id": "a", "issuer": "auth.example.com"}, "https URL"),
        ({"redirect_uri": "http://127.0.0.1:1/", "redirect_port": 1}, "leave redirect_port= out"),
        ({"client_metadata_url": "http://a.example/x"}, "https URL with a path"),
        ({"private_key": "x"}, "other grants"),
        ({"grant": "client_credentials", "client_id": "a"}, "exactly one of"),
        ({"grant": "client_credentials", "client_id": "a", "client_secret": "b"}, "issuer="),
        ({"grant": "identity_assertion", "client_id": "a", "client_secret": "b"}, "identity_assertion="),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        OAuth(**settings)


def test_tokens_never_go_in_the_clear() -> None:
    with pytest.raises(UserError, match="https"):
        OAuth().provider("http://mcp.example.com/mcp")


BROWSER = """
import asyncio, sys, urllib.request, webbrowser
import httpx2
from kimi_agent.mcp.client.oauth import MemoryTokenStore, OAuth

class Browser(webbrowser.BaseBrowser):
    def open(self, url, new=0, autoraise=True):
        print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url).read().decode())
        return True

webbrowser.register("test", None, Browser(), preferred=True)

async def main(url):
    async with httpx2.AsyncClient(auth=OAuth(store=MemoryTokenStore()).provider(url), trust_env=False) as client:
        print((await client.get(url)).status_code)

asyncio.run(main(sys.argv[1]))
"""


async def test_the_browser_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    async with oauth_world() as world:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-c", BROWSER, world.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await running.communicate()
        assert out.decode().endswith("Signed in. You can close this window.\n200\n"), err.decode()
        assert f"Sign in to the MCP server in your browser:\n  {world.issuer}/authorize?" in err.decode()
