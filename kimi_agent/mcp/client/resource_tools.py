"""Tools by which a model reads a server's resources by itself."""

from typing import TYPE_CHECKING, Any

from kimi_agent.messages import File, Part, Text
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.legal_names import legal_name
from kimi_agent.tooling.tool import Tool, ToolRules

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer


def resource_tools(server: "MCPServer") -> tuple[Tool[..., Any], ...]:
    """`{server}__list_resources` and `{server}__read_resource`."""

    async def list_resources(context: RunContext[Any]) -> str:
        resources, templates = await server.resources(context), await server.resource_templates(context)
        lines = [f"{r.uri}  {r.title or r.name}  {r.description or ''}".rstrip() for r in resources]
        lines += [f"{t.uri_template}  {t.title or t.name}  {t.description or ''}  (fill in the braces)".rstrip() for t in templates]
        return "\n".join(lines) or "There are no resources."

    async def read_resource(context: RunContext[Any], uri: str) -> list[Part]:
        contents = await server.read_resource(uri, context)
        return [Text(c.data.decode("utf-8", "replace")) if isinstance(c, File) and _is_text(c) else c for c in contents]

    rules = ToolRules(idempotent=True, deferrable=True, needs_approval=server.options.needs_approval)
    reading = legal_name(f"{server.name}__read_resource")
    listing = legal_name(f"{server.name}__list_resources")
    told = "Lists what read_resource of the same server can read.", f"Reads a resource of {server.name}, by its URI."
    return (
        Tool(list_resources, name=listing, description=told[0], rules=rules, qualified=listing, owner=server),
        Tool(read_resource, name=reading, description=told[1], rules=rules, qualified=reading, owner=server),
    )


def _is_text(file: File) -> bool:
    try:
        file.data.decode()
    except UnicodeDecodeError:
        return False
    return True
