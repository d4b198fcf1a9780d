"""What a user says of a server holds secrets: in the command, the environment, headers, and the URL."""

import logging
from uuid import uuid4

import httpx2
import pytest
from small import small_over_http

from kimi_agent import MCPServer
from kimi_agent.mcp.client.addresses import hosts_only
from kimi_agent.redact import redact

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "words",
    [
        ["--token", "{}"],
        ["--token={}"],
        ["--api-key", "{}", "--verbose"],
        ["-apiKey", "{}"],
        ["--key", "{}"],
        ["-e", "GITHUB_PERSONAL_ACCESS_TOKEN={}", "image"],
        ["--header", "Authorization: Bearer {}"],
        ["--header", "X-Api-Key:{}"],
        ["--header=Authorization: Bearer {}"],
        ["mcp-remote", "https://host.example/mcp?tavilyApiKey={}&x=1"],
        ["--endpoint=https://host.example/mcp#access_token={}"],
        ["postgresql://me:{}@host.example/db"],
        ["https://{}@host.example/repository"],
        ["--config", '{{"search": [{{"apiKey": "{}"}}]}}'],
    ],
    ids=lambda words: " ".join(words),
)
def test_secrets_of_a_command_are_masked_wherever_they_turn_up(words: list[str]) -> None:
    secret = uuid4().hex
    assert secret in redact(f"it said {secret}"), "nothing tells that this is a secret"
    server = MCPServer("run", *(word.format(secret) for word in words), name="x")
    assert secret not in redact(f"it said {secret}")
    assert secret not in repr(server) and secret not in repr(server.options)


def test_ordinary_words_of_a_command_stay_readable() -> None:
    ordinary = ["/home/me/documents", "--no-token", "--verbosely", "--max-tokens=4096-and-more", "--token", "${MY_OWN_VARIABLE}",
                "--header", "Accept: application/json", "https://host.example/documents?language=english-us"]  # fmt: skip
    MCPServer("npx", *ordinary, name="x")
    said = " ".join(ordinary)
    assert redact(said) == said


def test_headers_and_variables_are_masked_before_anything_connects() -> None:
    MCPServer(url="https://host.example/mcp?token=in-the-url-1", headers={"Authorization": "Bearer in-a-header-1"}, name="x")
    MCPServer("run", env={"DATABASE_URL": "postgres://me:in-the-env-1@host/db", "APP_SECRET": "in-the-env-2"}, name="y")
    said = "in-the-url-1 in-a-header-1 in-the-env-1 in-the-env-2"
    assert redact(said) == "*** *** *** ***"


async def test_logs_of_requests_name_the_host_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with small_over_http() as url, caplog.at_level(logging.DEBUG):
        asked = f"{url}?tavilyApiKey=Zq8-in-a-parameter&profile=Zq8-of-no-telling-name"
        async with MCPServer(url=asked, name="small") as server:
            await server.list_tools()
    host = url.removesuffix("/mcp")
    told = [record.getMessage() for record in caplog.records if record.name == "httpx2"]
    assert told and all(f" {host}/… " in line for line in told)
    assert "Zq8-" not in "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("httpx2", "mcp")))


async def test_a_program_s_own_requests_are_logged_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    MCPServer(url="https://known.example/mcp", name="x")
    own = httpx2.MockTransport(lambda request: httpx2.Response(200))
    with caplog.at_level(logging.INFO, logger="httpx2"):
        async with httpx2.AsyncClient(transport=own) as client:
            await client.get("https://other.example/page?language=english")
    assert "GET https://other.example/page?language=english " in caplog.text


def test_the_same_host_is_known_however_it_is_written() -> None:
    MCPServer(url="https://mcp.example/u/a-key-in-the-path", name="x")
    for url in ("https://MCP.example:443/u/key?x=1", "https://mcp.example/", "https://me:pw@mcp.example/u"):
        assert hosts_only(f"see '{url}', it says").endswith("/…', it says")
    assert hosts_only("see https://mcp.example:8443/u") == "see https://mcp.example:8443/u", "another server"
