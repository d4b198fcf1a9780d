"""One request to a server, and what may be done when its connection fails under it.

A request that the server cannot have seen is sent again on a new connection. One that it may have seen is not, unless the tool is
idempotent: its outcome is unknown, and that is what the caller is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED
from pydantic import ValidationError

from kimi_agent.errors import MCPServerError
from kimi_agent.mcp.client.causes import cause_of
from kimi_agent.mcp.client.connection import Connection, Live
from kimi_agent.mcp.client.http import LOST, NOT_SENT, STATUS
from kimi_agent.mcp.client.patience import patiently

T = TypeVar("T")
_ATTEMPTS = 5
_STARTS = 3
_LOSSES = 1  # times that a request which may be repeated is sent again although the server may have seen it
_PAUSE = 0.3  # seconds, times the number of attempts
_SOON = 3.0  # seconds; a start that took longer to fail is not tried again for one request


class OutcomeUnknown(MCPServerError):
    """The connection was lost while a request ran that may have had effects."""


async def request(
    connection: Connection,
    ask: Callable[[Live], Awaitable[T]],
    *,
    name: str,
    timeout: float | None,
    repeatable: bool,
    insist: bool = True,
    patient: bool = False,
) -> T:
    """What the server answers, within `timeout` seconds of being asked; starting it has a time-out of its own.

    `insist`: a server that cannot be reached at once is tried again for a moment. `patient`: where it failed before, the time until
    it may be tried again is waited for.

    Raises MCPError, the server's own refusal; MCPServerError where it cannot be reached; OutcomeUnknown; TimeoutError.
    """
    starts, losses = _STARTS if insist else 1, 0
    for attempt in range(_ATTEMPTS):
        live = await _reached(connection, again=starts > 1, patient=patient or attempt > 0)
        if live is None:
            starts -= 1
            continue
        try:
            async with patiently(timeout, connection.waits_for_person):
                answer = await ask(live)
        except MCPError as e:
            if not (what := _loss(e, live)):
                connection.settled()
                raise
            seen = not _was_not_seen(e)
            losses += seen
            if attempt + 1 == _ATTEMPTS or losses > (_LOSSES if repeatable else 0):
                raise _given_up(e, what, name, seen=seen and not repeatable) from e
            await asyncio.sleep(_PAUSE * attempt)
        except (asyncio.CancelledError, TimeoutError) as e:
            connection.doubt(live, timeout, at_once=isinstance(e, TimeoutError))
            raise
        except ValidationError as e:
            raise MCPServerError(f"the MCP server {name!r} {cause_of(e, 0)}", server=name) from e
        else:
            connection.settled()
            return answer
    raise AssertionError("unreachable")


async def _reached(connection: Connection, *, again: bool, patient: bool) -> Live | None:
    """The connection; None where it failed at once and is to be tried `again`: a server that restarts refuses for a moment."""
    began = time.monotonic()
    try:
        return await connection.ready(patient=patient)
    except MCPServerError:
        if again and time.monotonic() - began < _SOON and connection.state == "down":
            return None
        raise


def _given_up(error: MCPError, what: str, name: str, *, seen: bool) -> MCPServerError:
    if seen:
        return OutcomeUnknown(
            f"the MCP server {name!r} {what} while this ran: its outcome is unknown. Find out before trying again", server=name
        )
    return MCPServerError(f"the MCP server {name!r} {what}", server=name)


def _data(error: MCPError) -> dict[str, Any]:
    data: Any = error.data
    return cast(dict[str, Any], data) if isinstance(data, dict) else {}


def _loss(error: MCPError, live: Live) -> str:
    """What was lost, if this error says that something was; "" where the server itself has answered. Over HTTP a response that is
    lost is that of one request: the others on the same connection are none the worse."""
    data = _data(error)
    if data.get(NOT_SENT) and live.carries_all:
        live.lose(error.message)
        return live.why
    if data.get(NOT_SENT):
        return f"cannot be reached ({error.message})"
    if data.get(LOST):
        return f"broke off ({error.message})"
    if _is_closed(error):
        if live.carries_all:
            live.lose("closed the connection")
        return live.why or f"broke off ({error.message})"
    if _session_is_gone(error, live):
        live.lose("has forgotten its session")
        return live.why
    if data.get(STATUS) == 404 and not live.is_modern:
        live.lose("does not know its session, or its URL, any more")  # "MUST start a new session", says the specification
    return ""


def _is_closed(error: MCPError) -> bool:
    """The SDK's own error; servers have its code for theirs as well."""
    ours = error.message == "Connection closed" or error.message.startswith("SSE stream")
    return error.code == CONNECTION_CLOSED and error.data is None and ours


def _session_is_gone(error: MCPError, live: Live) -> bool:
    """The specification has 404 for it; servers on the TypeScript SDK say 400, "No valid session ID provided"."""
    return not live.is_modern and _data(error).get(STATUS) in (400, 404, 410) and "session" in error.message.lower()


def _was_not_seen(error: MCPError) -> bool:
    """Whether no tool can have run."""
    return bool(_data(error).get(NOT_SENT)) or not (_is_closed(error) or _data(error).get(LOST))
