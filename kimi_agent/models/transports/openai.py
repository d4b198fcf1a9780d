"""A user's own `openai.AsyncOpenAI`, through its raw `post`.

Its typed `create()` walks every message on every call, which makes a run quadratic (measured: 10 ms of CPU a turn at first, 89 ms
at turn 300); the raw `post` takes our bytes as they are.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from kimi_agent.errors import ConnectionFailed, ProviderTimeout
from kimi_agent.models.transports.base import Answer, Transport, words_of
from kimi_agent.models.transports.httpx import body_of, library_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_RAW = {"X-Stainless-Raw-Response": "stream"}  # openai's own switch for an answer whose body is not read


class OpenAITransport:
    """Sends through the client that it is given: base URL, key, headers, proxy and TLS are the client's. Its retries are
    switched off, since the endpoint retries."""

    def __init__(self, client: "AsyncOpenAI") -> None:
        self._client = client
        self._library = library_of(client._client)  # pyright: ignore[reportPrivateUsage]  # httpx or httpx2: openai takes both

    @asynccontextmanager
    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, connect: float | None
    ) -> AsyncGenerator[Answer]:
        import openai

        timeout = self._library.Timeout(connect=connect, read=None, write=None, pool=None)
        options: Any = {"headers": {**headers, **_RAW}, "timeout": timeout, "max_retries": 0, "follow_redirects": False}
        try:
            if method == "GET":
                raw: Any = await self._client.get(path, cast_to=object, options=options)
            else:
                raw = await self._client.post(path, cast_to=object, content=body, options=options)
        except openai.APIStatusError as error:
            # openai has read the body of an error answer already
            refused = Answer(error.status_code, error.response.headers, _once(error.response.content))
        except openai.APITimeoutError:
            raise ProviderTimeout(f"time-out (connect): no connection within {connect} s", phase="connect") from None
        except openai.APIConnectionError as error:
            raise ConnectionFailed(words_of(error.__cause__ or error)) from None
        else:
            response = raw.http_response
            async with aclosing(response), aclosing(body_of(response, self._library)) as pieces:
                yield Answer(response.status_code, response.headers, pieces)
            return
        yield refused


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


if TYPE_CHECKING:
    _transport: type[Transport] = OpenAITransport
