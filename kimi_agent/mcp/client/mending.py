"""A server's answers, put right where that can be: one bad entry must not cost the list, nor one bad block the result.

The SDK refuses a message whole. These streams stand between a transport and a session: they remember what was asked, and leave out
of the answer, or put into words, what is malformed in it, before the session sees it.
"""

import asyncio
import contextvars
import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Self, cast

import mcp_types as types
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from mcp_types.methods import validate_server_result
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import TypeAdapter

from kimi_agent.mcp.client.lines import TOO_COMPLEX, answered_id, is_too_complex
from kimi_agent.redact import get_logger

log = get_logger(__name__)
_block: TypeAdapter[types.ContentBlock] = TypeAdapter(types.ContentBlock)
_CACHING = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}  # what a page of 2026-07-28 has besides
_LARGEST = 200_000  # characters of a tool's definition
_MOST_TOOLS = 5_000  # in one page
_WAITING = 10_000  # messages that it has not read
_REMEMBERED = 10_000  # requests under way
_SHOWN = 2000  # characters of a block of a kind that nobody knows
_DEEPEST = 200  # levels of a value in a result: pydantic, which writes it, ends at 255
_TOO_DEEP = f"[The tool has structured content of more than {_DEEPEST} levels; it is left out.]"


def read_message(line: bytes | str) -> types.JSONRPCMessage | None:
    """The message that a line is; an answer that is none, as the error that ends its request; None for anything else."""
    raw = line.encode(errors="replace") if isinstance(line, str) else line
    if is_too_complex(raw):
        log.warning("an MCP server sends a message of too many values; it is left out: %r", raw[:200])
        return _refused(raw, TOO_COMPLEX)
    try:
        return types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValueError, RecursionError):
        pass
    try:
        read = json.loads(line)  # it goes deeper than pydantic's reader
    except RecursionError:
        return _refused(raw, "the answer is nested too deep to be read")
    except ValueError:
        return None
    return _understood(cast(dict[str, Any], read)) if isinstance(read, dict) else None


def _refused(line: bytes, why: str) -> JSONRPCError | None:
    """The error in place of an answer that is not read; None where the line is no answer, or does not say at its edges to what."""
    asked = answered_id(line)
    if asked is None:
        return None
    return JSONRPCError(jsonrpc="2.0", id=asked, error=types.ErrorData(code=INTERNAL_ERROR, message=why))


def _understood(message: dict[str, Any]) -> types.JSONRPCMessage | None:
    try:
        return types.jsonrpc_message_adapter.validate_python(message, by_name=False)
    except (ValueError, RecursionError):
        pass
    asked = message.get("id")
    if "method" in message or not isinstance(asked, str | int) or isinstance(asked, bool):
        return None
    return JSONRPCError(jsonrpc="2.0", id=asked, error=_error_in(message))


def _error_in(message: dict[str, Any]) -> types.ErrorData:
    error: Any = message.get("error")
    told = cast(dict[str, Any], error).get("message") if isinstance(error, dict) else error
    if error is not None:
        return types.ErrorData(code=INTERNAL_ERROR, message=f"an error that is not told properly: {_short(told or error)}")
    return types.ErrorData(code=INTERNAL_ERROR, message=f"an answer that is none: {_short(message.get('result'))}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@asynccontextmanager
async def mending(
    transport: AbstractAsyncContextManager[Any], server: str, lost: Callable[[str], None]
) -> AsyncGenerator[tuple["_Incoming", "_Outgoing"]]:
    """A transport's streams, whose answers are put right. `lost` is told of a server that asks much and reads nothing."""
    async with transport as (incoming, outgoing):
        asked: dict[str | int, str] = {}
        writer = _Outgoing(outgoing, asked, lost)
        pump = asyncio.create_task(writer.pump(), name=f"to the MCP server {server}")
        try:
            yield _Incoming(incoming, asked, Mender(server)), writer
        finally:
            pump.cancel()
            await asyncio.wait([pump])


class _Outgoing:
    """Remembers what is asked. Nobody who sends waits for a server that does not read: their own time-outs end their calls."""

    def __init__(self, inner: Any, asked: dict[str | int, str], lost: Callable[[str], None]) -> None:
        self._inner, self._asked, self._lost = inner, asked, lost
        self._queue: asyncio.Queue[tuple[contextvars.Context, SessionMessage]] = asyncio.Queue()
        self._closed = False

    async def pump(self) -> None:
        """Passes on what is sent, each in the variables of its sender: what the server says to it is to find them."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                context, item = await self._queue.get()
                await loop.create_task(self._inner.send(item), context=context)
        except (ClosedResourceError, BrokenResourceError):
            self._closed = True

    async def send(self, item: SessionMessage) -> None:
        if isinstance(item.message, JSONRPCRequest) and item.message.method in Mender.METHODS:
            self._asked[item.message.id] = item.message.method
            if len(self._asked) > _REMEMBERED:  # those that were never answered
                del self._asked[next(iter(self._asked))]
        if self._closed:
            raise ClosedResourceError
        if self._queue.qsize() > _WAITING:  # our answers to it, mostly
            self._closed = True
            self._lost("asks more than it reads answers")
            raise ClosedResourceError
        self._queue.put_nowait((contextvars.copy_context(), item))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class _Incoming:
    """Puts the answers right. `last_context` is the SDK's: the variables of the task that a message came in."""

    def __init__(self, inner: Any, asked: dict[str | int, str], mender: "Mender") -> None:
        self._inner, self._asked, self._mender = inner, asked, mender

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        item: SessionMessage | Exception = await self._inner.receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCResponse | JSONRPCError):
            method = self._asked.pop(item.message.id, None) if item.message.id is not None else None
            if method is not None and isinstance(item.message, JSONRPCResponse):
                item.message.result = self._mender.mended(method, item.message.result)
        return item

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class Mender:
    """Mends the answers of one server."""

    METHODS = ("initialize", "tools/list", "tools/call")

    def __init__(self, server: str) -> None:
        self._server, self._version = server, LATEST_MODERN_VERSION

    def mended(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request of this method."""
        try:
            return self._mended(method, result)
        except Exception:  # what else a server may think of: the connection is not to break over it
            log.exception("an answer of the MCP server %s cannot be put right", self._server)
            return result

    def _mended(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        if method == "tools/call":
            return mended_result(result)
        if method == "tools/list":
            return self._mended_list(result)
        self._version = str(result.get("protocolVersion"))  # what is right in a list hangs on it
        return result

    def _mended_list(self, result: dict[str, Any]) -> dict[str, Any]:
        """Without the entries that are no tools."""
        tools: Any = result.get("tools")
        if not isinstance(tools, list):
            log.warning("the MCP server %s lists its tools as what is no list: %s", self._server, _short(tools))
            return {**result, "tools": []}
        if len(tools) > _MOST_TOOLS:  # pyright: ignore[reportUnknownArgumentType]
            log.warning("the MCP server %s lists %d tools: the first %d are taken", self._server, len(tools), _MOST_TOOLS)  # pyright: ignore
            tools = tools[:_MOST_TOOLS]  # pyright: ignore[reportUnknownVariableType]
        return {**result, "tools": [tool for each in cast(list[Any], tools) if (tool := self._tool(each)) is not None]}

    def _tool(self, entry: Any) -> dict[str, Any] | None:
        if not isinstance(entry, dict):
            log.warning("the MCP server %s lists what is no tool; it is left out: %s", self._server, _short(entry))
            return None
        tool = {k: v for k, v in cast(dict[str, Any], entry).items() if v is not None}
        tool["inputSchema"] = _schema(tool.get("inputSchema", {}))
        for optional in ("outputSchema", "annotations", "execution", "icons", "title", "description", "_meta"):
            if self._fits(tool):
                break
            tool.pop(optional, None)
        if len(json.dumps(tool, default=str)) > _LARGEST:
            log.warning(
                "the MCP server %s lists a tool too large for any model; it is left out: %s", self._server, tool.get("name")
            )
            return None
        if not tool.get("name") or not self._fits(tool):
            name = _short(tool.get("name"))
            log.warning("the MCP server %s lists a tool that cannot be called; it is left out: %s", self._server, name)
            return None
        return tool

    def _fits(self, tool: dict[str, Any]) -> bool:
        try:
            with suppress(KeyError):  # a version that the SDK does not know: it refuses it elsewhere
                validate_server_result("tools/list", self._version, {"tools": [tool], **_CACHING})
            return bool(types.Tool.model_validate(tool, by_name=False))
        except (ValueError, RecursionError):
            return False


def _schema(schema: Any) -> Any:
    """A schema of type object, without keywords whose values are of a wrong kind."""
    if not isinstance(schema, dict):
        return schema
    known = cast(dict[str, Any], schema)
    odd = {"required": list, "properties": dict}
    kept: dict[str, Any] = {k: v for k, v in known.items() if k not in odd or isinstance(v, odd[k])}
    return {"type": "object", **kept}


def mended_result(result: dict[str, Any]) -> dict[str, Any]:
    """A result whose blocks are all of known kinds: one that is not is told in words."""
    if result.get("resultType", "complete") != "complete":
        return result
    content: Any = result.get("content", [])
    blocks: list[Any] = content if isinstance(content, list) else [content]  # pyright: ignore[reportUnknownVariableType]
    shallow = {name: value for name, value in result.items() if name == "content" or not _is_too_deep(value)}
    mended = {**shallow, "content": [_told(block) for block in blocks]}
    if "structuredContent" in result and "structuredContent" not in shallow:
        mended["content"].append({"type": "text", "text": _TOO_DEEP})
    if not isinstance(mended.get("isError", False), bool):
        mended["isError"] = bool(mended["isError"])
    return mended


def _is_too_deep(value: Any) -> bool:
    """Level by level: a function that calls itself could come to its own end."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _within(each)]
        if not level:
            return False
    return True


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast(dict[str, Any], value).values()
    return cast(list[Any], value) if isinstance(value, list) else ()


def _told(block: Any) -> Any:
    if _is_too_deep(block):
        return {"type": "text", "text": f"[A block of more than {_DEEPEST} levels is left out.]"}
    try:
        _block.validate_python(block, by_name=False)
    except (ValueError, RecursionError):
        return {"type": "text", "text": _short(block)}
    return block
