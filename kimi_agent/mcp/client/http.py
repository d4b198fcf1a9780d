"""A server behind a URL, over streamable HTTP.

The SDK's transport lets one failed request take the whole connection down, and tells of an HTTP error only that there was one. This
client answers for the server then: a request that failed becomes the JSON-RPC error of that one request, which says what happened,
and whether the server can have seen it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCResponse
from typing_extensions import override

from kimi_agent.mcp.client.event_stream import only_messages
from kimi_agent.mcp.client.failures import Failure, error_of, text_of, told_with, was_not_sent
from kimi_agent.mcp.client.lines import LONGEST_LINE
from kimi_agent.mcp.client.mending import read_message
from kimi_agent.redact import excerpt, get_logger, redact, register_header

log = get_logger(__name__)

CONNECT = 10.0  # seconds
_NOTIFIED = 2.0  # seconds for what is not answered
EXCERPT = 300
_SESSION = "mcp-session-id"
_KEPT = ("www-authenticate", "mcp-session-id", "retry-after")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what it is sent with each request."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    auth: httpx2.Auth | None = field(default=None, repr=False)


@asynccontextmanager
async def http_transport(address: Address) -> AsyncGenerator[Any]:
    """Streamable HTTP: the streams that a session of the SDK speaks through."""
    # A tool may be silent for as long as it takes: what bounds a call is its own time-out.
    timeout = httpx2.Timeout(CONNECT, read=None, write=30.0)
    async with (
        _Answering(headers=headers_of(address), auth=address.auth, timeout=timeout) as client,
        streamable_http_client(address.url, http_client=client, max_sse_event_size=64 * 2**20) as streams,
    ):
        yield streams


def headers_of(address: Address) -> dict[str, str]:
    """What is sent with each request; the secrets among them are masked in all texts from now on."""
    for name, value in address.headers.items():
        register_header(name, value)
    return dict(address.headers)


class _Answering(httpx2.AsyncClient):
    """Answers for a server that does not."""

    @override
    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # type: ignore[override]
        asked = asked_in(request)
        if asked is None and request.method == "POST":
            return await in_time(super().send(request, **options), request)
        try:
            response = await super().send(request, **options)
            if asked is None or response.status_code == 202 or response.has_redirect_location:
                return response
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream" and response.is_success:
                return only_messages(response)
            body = await read_whole(response)
        except httpx2.HTTPError as e:
            if asked is None:
                raise
            return _failed(request, asked, 200, error_of(text_of(e), Failure(seen=not was_not_sent(e))))
        except Exception as e:  # the authorisation failed
            if asked is None:
                raise
            told = Failure(seen=False, answer=True)  # nothing was sent, and nothing would come of sending it again
            return _failed(request, asked, 200, error_of(f"{type(e).__name__}: {redact(str(e))}", told))
        failure = Failure(status=response.status_code, session=_SESSION in request.headers)
        if (answer := _answer_in(body)) is not None:
            return _answered(response, answer, replace(failure, answer=True))
        shown = excerpt(body.decode("utf-8", "replace"), EXCERPT)
        if response.is_success:
            error = error_of(f"answered with {kind or 'nothing'} instead of JSON: {shown}", failure, PARSE_ERROR)
            return _failed(request, asked, 200, error)
        error = error_of(f"HTTP {response.status_code} {response.reason_phrase}: {shown}", failure)
        return _failed(request, asked, response.status_code, error, response.headers)


async def read_whole(response: httpx2.Response) -> bytes:
    """The body. Raises httpx2.ReadError for one that is larger than any answer may be."""
    pieces, size = list[bytes](), 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > LONGEST_LINE:
            await response.aclose()
            raise httpx2.ReadError(f"an answer of more than {LONGEST_LINE // 2**20} MiB")
    await response.aclose()
    return b"".join(pieces)


async def in_time(sending: Awaitable[httpx2.Response], request: httpx2.Request) -> httpx2.Response:
    """A notification, or our answer to the server, which wants no answer. The SDK sends nothing else meanwhile: it may take only so
    long, and whatever becomes of it, the connection goes on."""
    try:
        async with asyncio.timeout(_NOTIFIED):
            return await sending
    except (TimeoutError, httpx2.HTTPError) as e:
        log.info("a message to an MCP server did not arrive: %s", type(e).__name__)
        return httpx2.Response(202, request=request)


def asked_in(request: httpx2.Request) -> object | None:
    """The id of the JSON-RPC request that this is, if it is one."""
    if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    return message.get("id") if isinstance(message, dict) and "method" in message else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _answer_in(body: bytes) -> dict[str, Any] | None:
    """The JSON-RPC answer that a body is, or stands for, if it does."""
    message = read_message(body)
    if not isinstance(message, JSONRPCResponse | JSONRPCError):
        return None
    return message.model_dump(by_alias=True, mode="json", exclude_unset=True)


def _answered(response: httpx2.Response, answer: dict[str, Any], failure: Failure) -> httpx2.Response:
    """The server's answer; an error with the HTTP status that the SDK would drop: a session that is gone is told by it."""
    error = answer.get("error")
    if error is not None and not response.is_success:
        answer["error"] = {**error, "data": told_with(error.get("data"), failure)}
    kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
    return httpx2.Response(response.status_code, headers=kept, json=answer, request=response.request)


def _failed(
    request: httpx2.Request, asked: object, status: int, error: ErrorData, headers: httpx2.Headers | None = None
) -> httpx2.Response:
    kept = {name: headers[name] for name in _KEPT if headers is not None and name in headers}
    answer = {"jsonrpc": "2.0", "id": asked, "error": error.model_dump(mode="json")}
    return httpx2.Response(status, headers=kept, json=answer, request=request)
