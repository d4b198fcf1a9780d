"""Tools by which a model reads a server's resources by itself."""

from typing import TYPE_CHECKING, Any

from kimi_agent.mcp.client.names import legal_name
from kimi_agent.messages import File, Part, Text
from kimi_agent.tooling.tool import Tool, ToolRules

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer

_RULES = ToolRules(idempotent=True, deferrable=True)


def resource_tools(server: "MCPServer") -> tuple[Tool[..., Any], ...]:
    """`{server}__list_resources` and `{server}__read_resource`."""

    async def list_resources() -> str:
        resources, templates = await server.resources(), await server.resource_templates()
        lines = [f"{r.uri}  {r.title or r.name}  {r.description or ''}".rstrip() for r in resources]
        lines += [f"{t.uri_template}  {t.title or t.name}  {t.description or ''}  (fill in the braces)".rstrip() for t in templates]
        return "\n".join(lines) or "There are no resources."

    async def read_resource(uri: str) -> list[Part]:
        contents = await server.read_resource(uri)
        return [Text(c.data.decode("utf-8", "replace")) if isinstance(c, File) and _is_text(c) else c for c in contents]

    reading = legal_name(f"{server.name}__read_resource")
    listing = legal_name(f"{server.name}__list_resources")
    return (
        Tool(list_resources, name=listing, description=f"Lists what {reading} can read.", rules=_RULES),
        Tool(read_resource, name=reading, description=f"Reads a resource of {server.name}, by its URI.", rules=_RULES),
    )


def _is_text(file: File) -> bool:
    try:
        file.data.decode()
    except UnicodeDecodeError:
        return False
    return True
