"""What authorization servers answer, before the SDK reads it: bounded, and of an error only what is meant to be told."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
from typing_extensions import override

from kimi_agent.mcp.client.oauth.errors import OAuthFailed
from kimi_agent.redact import excerpt

_LARGEST = 2**20  # bytes
_TOLD = 200  # characters of an error
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")


async def readable(response: httpx2.Response) -> httpx2.Response:
    """The answer, read. An error keeps its `error` and `error_description` alone: the rest may be of a service that was not meant.

    Raises OAuthFailed where it is larger than any such answer is.
    """
    if response.headers.get("content-encoding", "identity") != "identity":  # none was asked for, and a small one may hold a lot
        raise OAuthFailed("the authorization server's answer is compressed, though that was not asked for")
    response.stream = _Bounded(cast("httpx2.AsyncByteStream", response.stream))
    body = await response.aread()
    if response.status_code < 400:
        return response
    return httpx2.Response(response.status_code, json=_told(body), request=response.request)


def one_line(text: str, most: int = _TOLD) -> str:
    """A stranger's text, masked and cut, without what moves a cursor."""
    return excerpt(_CONTROL.sub(" ", text), most)


def _told(body: bytes) -> dict[str, str]:
    try:
        answer: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(answer, dict):
        return {}
    told = cast("dict[str, Any]", answer)
    return {name: one_line(told[name]) for name in ("error", "error_description") if isinstance(told.get(name), str)}


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > _LARGEST:
                raise OAuthFailed(f"the authorization server's answer is larger than {_LARGEST // 2**20} MiB")
            yield piece

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()
