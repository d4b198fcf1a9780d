"""One request to a server, and what may be done when its connection fails under it.

A request that the server cannot have seen is sent again on a new connection. One that it may have seen is not, unless the tool is
idempotent: its outcome is unknown, and that is what the caller is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp import MCPError
from pydantic import ValidationError

from kimi_agent.errors import MCPServerError
from kimi_agent.mcp.client.causes import cause_of
from kimi_agent.mcp.client.connection import Connection, Live
from kimi_agent.mcp.client.failures import failure_of, is_closed, session_is_gone
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
    waits: Callable[[], bool] | None = None,
    is_heard: Callable[[], bool] = lambda: False,
) -> T:
    """What the server answers, within `timeout` seconds of being asked; starting it has a time-out of its own.

    `insist`: a server that cannot be reached at once is tried again for a moment. `patient`: where it failed before, the time until
    it may be tried again is waited for. `waits` says whether a person is being asked: the clock stands still meanwhile. `is_heard`:
    whether the server has shown that it has the request.

    Raises MCPError, the server's own refusal; MCPServerError where it cannot be reached; OutcomeUnknown; TimeoutError.
    """
    starts, losses, sessions = _STARTS if insist else 1, 0, 0
    for attempt in range(_ATTEMPTS):
        live = await _reached(connection, again=starts > 1, patient=patient or attempt > 0)
        if live is None:
            starts -= 1
            continue
        try:
            async with live.carrying(), patiently(timeout, waits or connection.waits_for_person):
                answer = await ask(live)
        except MCPError as e:
            what, seen = _loss(connection, live, e), _was_seen(e) or is_heard()
            if not what:
                connection.settled()
                raise
            losses += seen
            sessions += session_is_gone(e)
            if attempt + 1 == _ATTEMPTS or sessions > 1 or losses > (_LOSSES if repeatable else 0):
                raise _given_up(what, name, unknown=seen and not repeatable) from e
            await asyncio.sleep(_PAUSE * attempt)
        except (asyncio.CancelledError, TimeoutError) as e:
            connection.doubt(live, at_once=isinstance(e, TimeoutError))
            raise
        except ValidationError as e:
            raise _given_up(cause_of(e, 0), name, unknown=not repeatable) from e
        else:
            connection.settled()
            return answer
    raise MCPServerError(f"the MCP server {name!r} could not be reached", server=name)


async def _reached(connection: Connection, *, again: bool, patient: bool) -> Live | None:
    """The connection; None where it failed at once and is to be tried `again`: a server that restarts refuses for a moment."""
    began = time.monotonic()
    try:
        return await connection.ready(patient=patient)
    except MCPServerError:
        if again and time.monotonic() - began < _SOON and connection.state == "down":
            return None
        raise


def _given_up(what: str, name: str, *, unknown: bool) -> MCPServerError:
    if unknown:
        return OutcomeUnknown(
            f"the MCP server {name!r} {what} while this ran: its outcome is unknown. Find out before trying again", server=name
        )
    return MCPServerError(f"the MCP server {name!r} {what}", server=name)


def _loss(connection: Connection, live: Live, error: MCPError) -> str:
    """What was lost, if this error says that something was; "" where the server itself has answered. Over HTTP a response that is
    lost is that of one request: the others on the same connection are none the worse."""
    failure = failure_of(error)
    if failure is None and not is_closed(error):
        return ""
    if session_is_gone(error):
        live.lose("has forgotten its session")
        return live.why
    if failure is None:
        if live.carries_all:
            live.lose("closed the connection")
        return live.why or f"broke off ({error.message})"
    if not failure.seen and not failure.answer:
        if live.carries_all:
            live.lose(error.message)
        return live.why or f"cannot be reached ({error.message})"
    if failure.status == 404 and failure.session:
        connection.doubt(live, at_once=True)  # it may be a proxy's: a ping tells whether the session is gone
    unclear = not failure.answer and (failure.status is None or failure.status < 400 or failure.status >= 500)
    return f"broke off ({error.message})" if unclear else ""


def _was_seen(error: MCPError) -> bool:
    """Whether a tool may have run."""
    failure = failure_of(error)
    return not session_is_gone(error) and (failure is None or failure.seen)
