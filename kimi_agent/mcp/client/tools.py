"""A server's tools as tools of the registry: found, checked, approved, bounded and journalled as any other."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mcp_types as types

from kimi_agent.mcp.client.names import legal_names
from kimi_agent.mcp.client.options import Options
from kimi_agent.mcp.client.results import annotations_of
from kimi_agent.redact import get_logger
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.legal_names import legal_name
from kimi_agent.tooling.result import ToolResult
from kimi_agent.tooling.tool import Tool, ToolRules

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer

log = get_logger(__name__)
_FOR_PEOPLE = 600.0  # seconds more for calls in which somebody may be asked


class MCPTool(Tool[..., Any]):
    """One tool of an MCP server.

    Attributes:
        server: where it runs.
        original: the server's own name for it, which it is called by there.
        title: for people.
        annotations: what the server says of it (`read_only_hint` and so on): hints, not promises.
        output_schema: JSON Schema of its structured content, if the server gave one.
    """

    def __init__(
        self,
        server: "MCPServer",
        listed: types.Tool,
        *,
        name: str,
        rules: ToolRules,
        description: str | None = None,
        function: Callable[..., Any] | None = None,
        parameters: Any = None,
        qualified: str | None = None,
    ) -> None:
        """Raises ToolDefinitionError for a name that endpoints do not take."""

        async def call(context: RunContext[Any], /, **arguments: Any) -> ToolResult:
            return await server.run_tool(self, context, arguments)

        super().__init__(
            function or call,
            name=name,
            description=_description(listed) if description is None else description,
            parameters=listed.input_schema if parameters is None else parameters,
            rules=rules,
            qualified=qualified or legal_name(f"{server.name}__{listed.name}"),
            owner=server,
        )
        self.server = server
        self.listed = listed
        self.original = listed.name
        self.title = listed.title or (listed.annotations.title if listed.annotations else None)
        self.annotations: Mapping[str, Any] = annotations_of(listed)
        self.output_schema = listed.output_schema

    @property
    def definition(self) -> str:
        """The server, its name for the tool, and a digest of all that it says of it."""
        said = self.listed.model_dump_json(by_alias=True, exclude_none=True)
        return f"{self.server.name}/{self.original}#{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    async def unchanged(self) -> bool:
        """Whether the server still says the same of it, also where it was started again while a person was asked."""
        return await self.server.still_has(self)

    def _with(self, **changes: Any) -> "MCPTool":
        """The same tool of the same server, with other options."""
        options = {k: v for k, v in (self.options | changes).items() if k not in ("function", "owner")}
        return MCPTool(self.server, self.listed, **options)


def _description(listed: types.Tool) -> str:
    title = listed.title or (listed.annotations.title if listed.annotations else None)
    return listed.description or title or ""


def tools_of(server: "MCPServer", listed: Sequence[types.Tool], options: Options) -> tuple[MCPTool, ...]:
    """The tools that the user wants of those that the server has."""
    wanted = [tool for tool in listed if options.wants(tool.name)]
    names = legal_names([tool.name for tool in wanted], options.prefix)
    made = [MCPTool(server, tool, name=names[tool.name], rules=_rules(tool, options)) for tool in wanted]
    return tuple(tool for tool in made if options.keep is None or options.keep(tool))


def _rules(tool: types.Tool, options: Options) -> ToolRules:
    hints = tool.annotations if options.trust_annotations else None
    harmless = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
    # The server's own clock begins when it is asked; this one is for all, with a start that may be needed before.
    more = options.start_timeout + options.ping_timeout + (_FOR_PEOPLE if options.elicit else 0.0)
    timeout = None if options.timeout is None else options.timeout + more
    return ToolRules(timeout=timeout, idempotent=harmless, needs_approval=options.needs_approval, deferrable=True)
