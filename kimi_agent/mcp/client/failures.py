"""What our own transports say of a request that failed. A server cannot say it: its errors come without the key of this process."""

import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, cast

import httpx2
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, ErrorData

from kimi_agent.redact import redact

FAILED = -32_050  # in JSON-RPC's range for what is no part of it; the SDK has -32000 for a closed connection
_KEY = f"kimi_agent_{secrets.token_hex(8)}"
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol, httpx2.ProxyError)
_NO_SESSION = re.compile(
    r"(?i)\b(?:no valid|invalid|unknown|missing|no such|expired)\b.{0,12}\bsession"
    r"|\bsession\b.{0,16}\b(?:not found|unknown|invalid|expired|terminated|does not exist|is closed)\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What became of a request.

    Attributes:
        seen: whether the server may have seen it.
        status: of the HTTP answer, if there was one.
        session: whether the request named a session.
        answer: whether the server's own error came with it.
    """

    seen: bool = True
    status: int | None = None
    session: bool = False
    answer: bool = False


def error_of(text: str, failure: Failure, code: int = FAILED) -> ErrorData:
    """The JSON-RPC error that ends the request."""
    return ErrorData(code=code, message=text, data={_KEY: asdict(failure)})


def told_with(data: Any, failure: Failure) -> Any:
    """The data of a server's own error, with what became of the request; where there is no room in it, as it is."""
    if data is None:
        return {_KEY: asdict(failure)}
    return {**cast(dict[str, Any], data), _KEY: asdict(failure)} if isinstance(data, dict) else data


def failure_of(error: MCPError) -> Failure | None:
    """What our transport said of it; None where the error is the server's own, or the SDK's."""
    data: Any = error.data
    told = cast(dict[str, Any], data).get(_KEY) if isinstance(data, dict) else None
    return Failure(**told) if told is not None else None


def is_closed(error: MCPError) -> bool:
    """Whether it is the SDK's own error for a connection that ended; servers have its code for theirs as well."""
    ours = error.message == "Connection closed" or error.message.startswith("SSE stream")
    return error.code == CONNECTION_CLOSED and error.data is None and ours


def session_is_gone(error: MCPError) -> bool:
    """Whether the server refused the request because it does not know its session.

    The specification has 404 for it; servers on the TypeScript SDK say 400, "No valid session ID provided". A proxy says 404, too:
    the words count.
    """
    failure = failure_of(error)
    if failure is None or not failure.session or failure.status not in (400, 404, 410):
        return False
    return _NO_SESSION.search(error.message[:200]) is not None


def was_not_sent(error: httpx2.HTTPError) -> bool:
    """Whether the server can have seen nothing of the request."""
    return isinstance(error, _NOT_SENT)


def text_of(error: httpx2.HTTPError) -> str:
    """What happened, without secrets."""
    text = redact(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
