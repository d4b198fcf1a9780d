"""The official suite's client scenarios, done with `MCPServer` and `OAuth`. The suite starts this: `python client.py URL`.

`MCP_CONFORMANCE_SCENARIO` says which scenario; `MCP_CONFORMANCE_CONTEXT` holds what it gives, as JSON. Exit code 0 is "done".
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from mcp.client.auth.utils import build_protected_resource_metadata_discovery_urls

from kimi_agent import Elicitation, MCPServer, MCPServerError, OAuth
from kimi_agent.mcp import MemoryTokenStore

CALLS = {
    "tools_call": [("add_numbers", {"a": 5, "b": 3})],
    "http-standard-headers": [("add_numbers", {"a": 5, "b": 3})],
    "request-metadata": [("add_numbers", {"a": 5, "b": 3})],
    "sse-retry": [("test_reconnection", {})],
    "elicitation-sep1034-client-defaults": [("test_client_elicitation_defaults", {})],
    "sep-2322-client-request-state": [
        ("test_mrtr_echo_state", {}),
        ("test_mrtr_unrelated", {}),
        ("test_mrtr_no_state", {}),
        ("test_mrtr_no_result_type", {}),
    ],
}
"""What a scenario wants called, after the tools were listed. Others want the list only, or are below."""

STUBS: dict[str, Any] = {"string": "x", "integer": 0, "number": 0, "boolean": False, "object": {}, "array": []}

Scenario = Callable[[MCPServer], Awaitable[None]]


def context() -> dict[str, Any]:
    """What the scenario gives: keys, tokens, calls."""
    return json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")


async def accept(question: Elicitation) -> dict[str, Any]:
    """Fills in what has no default; what has one, `MCPServer` fills in."""
    properties = (question.schema or {}).get("properties", {})
    return {name: True for name, field in properties.items() if field.get("type") == "boolean" and "default" not in field}


async def sampled(request: Any) -> str:
    return "conformance"


async def call(server: MCPServer, name: str, arguments: dict[str, Any]) -> None:
    """A call that may be refused: the suite looks at what was sent."""
    try:
        await server.call(name, arguments)
    except MCPServerError as error:
        print(f"{name}: {error}", file=sys.stderr)


# ── scenarios that are not a list of calls ──


async def every_tool(server: MCPServer) -> None:
    """Calls what is offered: tools with broken header annotations must not be."""
    for tool in await server.list_tools():
        properties = tool.parameters.get("properties", {})
        required = tool.parameters.get("required", [])
        await call(server, tool.original, {name: STUBS[properties.get(name, {}).get("type", "string")] for name in required})


async def given_calls(server: MCPServer) -> None:
    """The calls of the context, as far as the tools are offered."""
    offered = {tool.original for tool in await server.list_tools()}
    for each in context().get("toolCalls", []):
        if each["name"] in offered:
            await call(server, each["name"], each.get("arguments") or {})


async def echo_schema(server: MCPServer) -> None:
    """Sends a schema back as it came: no keyword may be lost."""
    tools = {tool.original: tool for tool in await server.list_tools()}
    schema = dict(tools["json_schema_2020_12_tool"].listed.input_schema)
    await call(server, "json_schema_echo", {"schema": schema})


async def first_tool(server: MCPServer) -> None:
    """Authorisation is looked at in the list and one call."""
    tools = await server.list_tools()
    if tools:
        await call(server, tools[0].original, {})


OTHERS: dict[str, Scenario] = {
    "http-invalid-tool-headers": every_tool,
    "http-custom-headers": given_calls,
    "json-schema-2020-12-preservation": echo_schema,
}


# ── authorisation ──


async def signs_in(authorization_url: str) -> str:
    """The suite's user agrees at once: the answer is the redirect."""
    async with httpx2.AsyncClient() as browser:
        return (await browser.get(authorization_url)).headers["location"]


async def issuer_of(url: str) -> str:
    """Which authorization server the MCP server names. In the world outside it is configured; the suite does not tell it."""
    async with httpx2.AsyncClient() as http:
        metadata = await http.get(build_protected_resource_metadata_discovery_urls(None, url)[0])
    return metadata.json()["authorization_servers"][0]


async def id_jag(audience: str, resource: str) -> str:
    """Exchanges the identity token for an assertion at the company's identity provider (RFC 8693)."""
    given = context()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "subject_token": given["idp_id_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": audience,
        "resource": resource,
        "client_id": given["idp_client_id"],
    }
    async with httpx2.AsyncClient() as http:
        return (await http.post(given["idp_token_endpoint"], data=form)).raise_for_status().json()["access_token"]


async def oauth_for(scenario: str, url: str) -> OAuth:
    """How the scenario wants to be signed in to."""
    given, store = context(), MemoryTokenStore()
    client = {"client_id": given.get("client_id"), "client_secret": given.get("client_secret"), "store": store}
    match scenario:
        case "auth/client-credentials-basic":
            return OAuth(grant="client_credentials", issuer=await issuer_of(url), **client)
        case "auth/client-credentials-jwt":
            key = {"private_key": given["private_key_pem"], "signing_algorithm": given.get("signing_algorithm", "ES256")}
            return OAuth(grant="client_credentials", issuer=await issuer_of(url), **client, **key)
        case "auth/enterprise-managed-authorization" | "auth/cross-app-access-complete-flow":
            return OAuth(
                grant="identity_assertion",
                issuer=await issuer_of(url),
                identity_assertion=id_jag,
                token_auth="client_secret_basic",
                **client,
            )
        case _:
            metadata = "https://conformance-test.local/client-metadata.json"
            return OAuth(
                **client,
                issuer=await issuer_of(url) if given.get("client_secret") else None,
                client_metadata_url=None if given.get("client_id") else metadata,
                open=signs_in,
            )


async def main(scenario: str, url: str) -> None:
    """Connects, lists the tools, does what the scenario wants, and closes."""
    options: dict[str, Any] = {"elicit": accept}
    if scenario == "request-metadata":  # everything that a client can be able to do
        options |= {"sampling": sampled, "roots": ["."]}
    if scenario.startswith("auth/"):
        options["auth"] = await oauth_for(scenario, url)
    async with MCPServer(url=url, **options) as server:
        if scenario.startswith("auth/"):
            await first_tool(server)
        elif scenario in OTHERS:
            await OTHERS[scenario](server)
        else:
            await server.list_tools()
            for name, arguments in CALLS.get(scenario, []):
                await call(server, name, arguments)


if __name__ == "__main__":
    asyncio.run(main(os.environ["MCP_CONFORMANCE_SCENARIO"], sys.argv[-1]))
