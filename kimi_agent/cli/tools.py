"""`kimi-agent tools`: what the model is told of a function, and the rules under which it runs."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.exits import OK, of_error
from kimi_agent.cli.load import load_tools
from kimi_agent.cli.mcp.attach import attach
from kimi_agent.cli.options import McpOption, tolerate_narrow_consoles
from kimi_agent.errors import KimiAgentError, ToolDefinitionError, UserError
from kimi_agent.observe.plain import error_line, json_line, plain
from kimi_agent.redact import redact
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.tool import Tool, ToolRules
from kimi_agent.tooling.toolset import Toolset, as_tool

_DEFAULT = ToolRules()
AnyTool = Tool[..., Any]


def tools(
    specs: Annotated[list[str] | None, typer.Argument(help="module:function, file.py:function, or a whole module or file.")] = None,
    mcp: McpOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Show the JSON Schema that each function yields, as the model gets it. Exit code 2 where one cannot become a tool."""
    tolerate_narrow_consoles()
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    shown: list[dict[str, Any]] = []
    code = OK
    read = [*(partial(_of_spec, spec) for spec in specs or ()), *(partial(_of_server, spec) for spec in mcp or ())]
    if not read:
        raise typer.BadParameter("which tools? module:function, file.py:function, a module, a file, or --mcp SERVER")
    for each in read:
        try:
            shown += each()
        except KimiAgentError as e:
            error_line(errors, redact(str(e)))
            code = max(code, of_error(e))
    if as_json:
        print(json_line(shown))
    else:
        for each in shown:
            _print(console, each)
    raise typer.Exit(code)


def _of_spec(spec: str) -> list[dict[str, Any]]:
    return [entry for name, value in load_tools(spec) for entry in _described(name, value)]


def _of_server(spec: str) -> list[dict[str, Any]]:
    """Raises UserError, and MCPServerError where it cannot be reached."""

    async def listed() -> list[dict[str, Any]]:
        attached = attach([spec], [])
        async with attached.in_use(nullcontext):
            return [_entry(tool) for server in attached.servers for tool in await server.list_tools()]

    return asyncio.run(listed())


def _described(name: str, value: Any) -> list[dict[str, Any]]:
    """In the form of a request's `tools`, with the rules. Raises UserError, which names what was being read."""
    try:
        return [_entry(t) for t in (_members(value) if isinstance(value, Toolset) else [as_tool(value, {})])]
    except ToolDefinitionError as e:
        raise UserError(f"{name} cannot become a tool: {e}") from e


def _members(toolset: Toolset) -> list[AnyTool]:
    try:
        return list(asyncio.run(_listed(toolset)))
    except Exception as e:  # a toolset may ask a server, or look at the run that is not there
        raise UserError(f"{toolset!r} did not tell its tools outside a run: {type(e).__name__}: {e}") from e


async def _listed(toolset: Toolset) -> list[AnyTool]:
    return [*await toolset.tools(cast(RunContext[Any], None))]


def _entry(tool: AnyTool) -> dict[str, Any]:
    spec = tool.spec
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function, "rules": _rules(tool.rules)}


def _rules(rules: ToolRules) -> dict[str, Any]:
    """Those that are not as by default; a function that picks calls by its name."""
    changed = {k: v for k, v in asdict(rules).items() if v != getattr(_DEFAULT, k)}
    return {k: getattr(v, "__name__", repr(v)) if callable(v) else v for k, v in changed.items()}


def _print(console: Console, entry: dict[str, Any]) -> None:
    function = entry["function"]
    console.print(Styled.assemble((plain(function["name"]), "bold"), "  ", plain(function["description"])), soft_wrap=True)
    rules = ", ".join(f"{k} = {v}" for k, v in entry["rules"].items()) or "the defaults"
    console.print(Styled(f"rules: {plain(rules)}", "dim"), soft_wrap=True)
    console.print(Styled(plain(json.dumps(function["parameters"], indent=2, ensure_ascii=False))), soft_wrap=True)
    console.print()
