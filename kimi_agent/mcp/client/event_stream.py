"""Server-sent events without those that hold no message: the SDK would end the request for one of them."""

from collections.abc import AsyncIterator, Iterator

import httpx2

from kimi_agent.mcp.client.lines import LONGEST_LINE, Lines, LineTooLong
from kimi_agent.mcp.client.mending import read_message
from kimi_agent.redact import get_logger

log = get_logger(__name__)
_SENT_ON = ("mcp-session-id", "content-type")


def only_messages(response: httpx2.Response) -> httpx2.Response:
    """The same response, read through `_Messages`."""
    headers = {name: response.headers[name] for name in _SENT_ON if name in response.headers}
    return httpx2.Response(response.status_code, headers=headers, stream=_Messages(response), request=response.request)


class _Messages(httpx2.AsyncByteStream):
    """Event by event; what is an answer, but no proper one, becomes the error of its request."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        lines, event, size = Lines(), list[bytes](), 0
        async for chunk in self._response.aiter_bytes():
            for line in lines.feed(chunk):
                event.append(line.rstrip(b"\r"))
                size += len(line)
                if size > LONGEST_LINE:
                    raise LineTooLong(f"an event of more than {LONGEST_LINE // 2**20} MiB")
                if not event[-1]:
                    for kept in _kept(event):
                        yield kept
                    event, size = [], 0

    async def aclose(self) -> None:
        await self._response.aclose()


def _kept(event: list[bytes]) -> Iterator[bytes]:
    data = b"\n".join(line[5:].removeprefix(b" ") for line in event if line.startswith(b"data:"))
    kinds = [line[6:].strip() for line in event if line.startswith(b"event:")]
    if kinds and kinds[-1] not in (b"", b"message"):
        return  # nothing that the protocol knows
    message = read_message(data) if data.strip() else None
    rest = [line for line in event if line and not line.startswith(b"data:")]
    if data.strip() and message is None:
        log.warning("an MCP server sends an event that is no message; it is left out: %r", data[:200])
        rest = [line for line in rest if line.startswith((b"id:", b"retry:"))]
    elif message is not None:
        rest.append(b"data: " + message.model_dump_json(by_alias=True, exclude_unset=True).encode())
    elif data or any(line.startswith(b"data:") for line in event):
        rest.append(b"data:")
    if rest:
        yield b"\n".join([*rest, b"", b""])
