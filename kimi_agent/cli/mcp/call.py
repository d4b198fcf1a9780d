"""`kimi-agent mcp call`: one tool of one server, by hand."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text as Styled

from kimi_agent.cli.exits import FAILED, OK
from kimi_agent.cli.mcp.arguments import read_arguments
from kimi_agent.cli.mcp.attach import terminal_elicitor, warnings_told
from kimi_agent.cli.mcp.begin import ConfigOption, JsonOption, SecondsOption, carry_out, note
from kimi_agent.cli.mcp.remedies import with_remedy
from kimi_agent.cli.mcp.results import print_result, result_json, save_binary
from kimi_agent.cli.mcp.targets import known_servers, place_options, target_of
from kimi_agent.cli.mcp.values import types_of
from kimi_agent.cli.mcp.view import CallView
from kimi_agent.cli.options import console_for_tables
from kimi_agent.errors import MCPServerError, UserError
from kimi_agent.events import ToolBegin
from kimi_agent.messages import ToolCall, parts_of
from kimi_agent.observe.console import ConsoleRenderer
from kimi_agent.observe.plain import json_line, one_line, plain
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.result import ToolResult
from kimi_agent.tooling.signature import InvalidArguments
from kimi_agent.wire.open_json import as_list, as_object

if TYPE_CHECKING:
    from kimi_agent.mcp.client.server import MCPServer
    from kimi_agent.mcp.client.tools import MCPTool

_CALL_ID = "call"


def call(
    server: Annotated[str, typer.Argument(help="A command line, a URL, or the name of a server of the configuration.")],
    tool: Annotated[str | None, typer.Argument(help="Which tool; without one the tools are listed.")] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value, key:=JSON, one JSON object, or - for standard input.")
    ] = None,
    timeout: SecondsOption = None,
    header: Annotated[list[str] | None, typer.Option("--header", help="NAME=VALUE, sent to a URL; may be repeated.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", help="NAME=VALUE, for a command; may be repeated.")] = None,
    auth: Annotated[str | None, typer.Option("--auth", help="oauth: sign in with a browser.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="A directory, for the images and files of the result.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a tool of a server and print its result; progress and log messages go to standard error. Exit code 1: it failed."""

    async def work() -> int:
        with warnings_told():
            target = target_of(server, lambda: known_servers([config] if config else []))
        more = place_options(target, header, env, auth)
        with warnings_told(), with_remedy(target):
            async with target.server(elicit=terminal_elicitor(), **more) as opened:
                if tool is None:
                    return _list(await opened.list_tools(), as_json)
                return await _call(opened, tool, arguments or [], timeout, save, as_json)

    carry_out(work)


async def _call(
    server: "MCPServer", name: str, words: Sequence[str], timeout: float | None, save: Path | None, as_json: bool
) -> int:
    tool = _tool(name, await server.list_tools())
    arguments = read_arguments(words, tool.parameters)
    try:
        tool.validate(arguments)
    except InvalidArguments as e:
        raise UserError(f"{tool.original}: {e}") from None
    result = await _result(server, tool, arguments, timeout)
    parts = parts_of(result.content)
    if as_json:
        print(result_json(tool.original, parts, result))
    else:
        print_result(parts)
    for path in save_binary(parts, save) if save is not None else ():
        note(f"saved {plain(str(path))}")
    return FAILED if result.is_error else OK


async def _result(server: "MCPServer", tool: "MCPTool", arguments: dict[str, Any], timeout: float | None) -> ToolResult:
    with ConsoleRenderer(Console(stderr=True, highlight=False), verbose=True) as draw:
        draw(ToolBegin(ToolCall(_CALL_ID, tool.original, "{}")))
        context: RunContext[Any] = RunContext(None, CallView(draw), _CALL_ID, tool.original)
        try:
            return await server.call(tool.original, arguments, timeout=timeout, context=context)
        except TimeoutError:
            raise MCPServerError(f"{tool.original} did not finish in time (--timeout)", server=server.name) from None


def _tool(name: str, tools: Sequence["MCPTool"]) -> "MCPTool":
    """By the server's name for it, or by the one that models have. Raises UserError, which names the nearest."""
    by_name = {t.name: t for t in tools} | {t.original: t for t in tools}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.4) or list(by_name)[:20]
    raise UserError(f"the server has no tool {one_line(name, 64)!r}; it has {', '.join(map(plain, near)) or 'none'}")


def _list(tools: Sequence["MCPTool"], as_json: bool) -> int:
    if as_json:
        print(json_line([_described(t) for t in tools]))
        return OK
    console = console_for_tables()
    for tool in tools:
        console.print(Styled.assemble((plain(tool.original), "bold"), f"({_parameters(tool.parameters)})"), soft_wrap=True)
        console.print(Styled(f"    {one_line(tool.description, 200)}", "dim"), soft_wrap=True)
    return OK


def _described(tool: "MCPTool") -> dict[str, Any]:
    told = {"name": tool.original, "title": tool.title, "description": tool.description, "parameters": tool.parameters}
    return {**told, "output_schema": tool.output_schema, "annotations": dict(tool.annotations)}


def _parameters(schema: Mapping[str, Any]) -> str:
    """`path: string, limit?: integer`."""
    required, root = as_list(schema.get("required")), dict(schema)
    named = (as_object(schema.get("properties")) or {}).items()
    told = ((name, "" if name in required else "?", types_of(as_object(each) or {}, root)) for name, each in named)
    return plain(", ".join(f"{name}{mark}: {'|'.join(sorted(kinds)) or 'any'}" for name, mark, kinds in told))
