"""Why a server could not be reached, in words that say what to do."""

import asyncio

import httpx2
from mcp import MCPError
from pydantic import ValidationError

from kimi_agent.mcp.client.failures import failure_of


class Lost(Exception):
    """The server went away while it was greeted; the text says how."""


def cause_of(error: BaseException, timeout: float) -> str:
    """What happened, as the end of a sentence that begins with the server's name."""
    error = _innermost(error)
    match error:
        case Lost():
            return str(error)
        case TimeoutError() | asyncio.CancelledError():
            return f"did not answer within {timeout:g} s"
        case FileNotFoundError() | PermissionError():
            return f"cannot be started: {error}"
        case MCPError():
            return _refused(error)
        case httpx2.HTTPStatusError():
            return _status(error.response.status_code, f"HTTP {error.response.status_code} {error.response.reason_phrase}")
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return f"cannot be reached: {error or type(error).__name__}"
        case ValidationError():
            return f"answers with what is no MCP message: {_first_line(error)}"
        case _:
            return f"failed: {_first_line(error) or type(error).__name__}"


def _refused(error: MCPError) -> str:
    failure = failure_of(error)
    if failure is not None and not failure.seen and not failure.answer:
        return f"cannot be reached: {error.message}"
    status = failure.status if failure is not None else None
    return f"answered with an error: {error.message}" if status is None else _status(status, error.message)


def _status(status: int, text: str) -> str:
    hint = {
        401: "it wants authorisation: give its token in headers=, or auth=OAuth()",
        403: "the authorisation does not suffice",
        404: "is this the right URL? It often ends in /mcp",
        405: "is this the right URL? An old server may want transport='sse'",
    }.get(status)
    return f"refuses: {text}" + (f" ({hint})" if hint else "")


def _innermost(error: BaseException) -> BaseException:
    """What an anyio task group wrapped."""
    while isinstance(error, BaseExceptionGroup):
        inner: tuple[BaseException, ...] = error.exceptions  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        error = inner[0]
    return error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
