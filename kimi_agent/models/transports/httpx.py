"""A user's own `httpx.AsyncClient` or `httpx2.AsyncClient`: the two have one interface."""

import importlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from kimi_agent.errors import ConnectionFailed, ProviderTimeout, UserError
from kimi_agent.models.transports.base import Answer, Transport, words_of
from kimi_agent.redact import redact


class HttpxTransport:
    """Sends through the client that it is given; proxy, TLS and pool are the client's."""

    def __init__(self, base_url: str, client: Any) -> None:
        self._base_url = base_url.rstrip("/")
        self._client = client
        self._library = library_of(client)

    @asynccontextmanager
    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, connect: float | None
    ) -> AsyncGenerator[Answer]:
        library = self._library
        timeout = library.Timeout(connect=connect, read=None, write=None, pool=None)
        try:
            request = self._client.build_request(
                method, self._base_url + path, headers=dict(headers), content=body, timeout=timeout
            )
            response = await self._client.send(request, stream=True, follow_redirects=False)
        except library.ConnectTimeout:
            raise ProviderTimeout(f"time-out (connect): no connection within {connect} s", phase="connect") from None
        except RuntimeError as error:  # "Cannot send a request, as the client has been closed."
            raise UserError(f"cannot send with the client that was given: {error}") from None
        except (library.UnsupportedProtocol, library.InvalidURL, ValueError) as error:
            # ValueError: a header that is not ASCII; its words would hold the header
            what = "a header is not ASCII" if isinstance(error, ValueError) else redact(str(error))
            raise UserError(f"cannot send to {redact(self._base_url)}: {what}") from None
        except (library.RequestError, OSError) as error:
            raise ConnectionFailed(words_of(error)) from None
        async with aclosing(response), aclosing(body_of(response, library)) as pieces:
            yield Answer(response.status_code, response.headers, pieces)


def library_of(client: Any) -> Any:
    """httpx or httpx2, whichever `client` is of; user classes may derive from either."""
    names = {base.__module__.partition(".")[0] for base in type(client).__mro__}
    return importlib.import_module("httpx2" if "httpx2" in names else "httpx")


async def body_of(response: Any, library: Any) -> AsyncGenerator[bytes]:
    """The body's bytes, with httpx's errors told as ours."""
    try:
        async with aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                yield piece
    except (library.RequestError, OSError) as error:
        raise ConnectionFailed(words_of(error)) from None


if TYPE_CHECKING:
    _transport: type[Transport] = HttpxTransport
