"""`serve_mcp`: a program that is an MCP server, in one line."""

import asyncio
import contextlib
import signal
from typing import Any, Literal

from kimi_agent.errors import UserError
from kimi_agent.mcp.server.http import HTTPOptions
from kimi_agent.mcp.server.service import MCPService


def serve_mcp(*what: Any, transport: Literal["stdio", "http"] = "stdio", **options: Any) -> None:
    """Serves until the client hangs up (stdio), or Ctrl-C or SIGTERM end it; then what runs is cancelled.

    Args:
        what: functions, tools, toolsets, agents; or one `MCPService`.
        transport: "stdio" for clients that start the program, "http" for those that connect to it.
        **options: of `MCPService`, and with "http" those of `HTTPOptions` (host, port, token …).

    Raises UserError for options that do not fit, and for what would not be safe.
    """
    how: Any = {name: options.pop(name) for name in HTTPOptions.__annotations__ if name in options}
    if transport not in ("stdio", "http"):
        raise UserError(f"transport={transport!r}: there are 'stdio' and 'http'")
    if transport == "stdio" and how:
        raise UserError(f"{', '.join(how)}: only for transport='http'")
    if _is_running():
        raise UserError("serve_mcp is a whole program; in async code: await MCPService(…).stdio(), or .http(…)")
    service = _service(what, options)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_told(service, how if transport == "http" else None))


def _service(what: tuple[Any, ...], options: dict[str, Any]) -> MCPService:
    if len(what) == 1 and isinstance(what[0], MCPService):
        if options:
            raise UserError(f"{', '.join(options)}: give these to the MCPService itself")
        return what[0]
    try:
        return MCPService(*what, **options)
    except TypeError as e:
        raise UserError(f"serve_mcp: {e}") from e


async def _until_told(service: MCPService, how: HTTPOptions | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows; not the main thread
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await (service.stdio() if how is None else service.http(**how))


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
