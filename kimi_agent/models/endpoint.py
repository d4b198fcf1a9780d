"""`ChatEndpoint`: a model behind an OpenAI-compatible chat completions address."""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kimi_agent.errors import (
    AuthenticationError,
    BadResponse,
    ConnectionFailed,
    ProviderError,
    StatusError,
    UserError,
)
from kimi_agent.models.answer import error_in, parts_in, read_whole
from kimi_agent.models.base import Model, ModelRequest, Profile
from kimi_agent.models.budget import TokenEstimates, completion_budget
from kimi_agent.models.clock import Clock
from kimi_agent.models.connect import Client, brings_key, transport_for
from kimi_agent.models.profiles import is_moonshot, profile_for
from kimi_agent.models.real_requests import check_real_request
from kimi_agent.models.request_body import request_body
from kimi_agent.models.window import models_in, window_in
from kimi_agent.redact import get_logger, redact, register_header, register_secret
from kimi_agent.settings import Timeouts
from kimi_agent.wire.open_json import Json
from kimi_agent.wire.openai_encode import Encoder
from kimi_agent.wire.parts import ResponseInfo, UsagePart, WirePart

_log = get_logger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0  # seconds between tries, doubled each time, with jitter
_LONGEST_ASKED_WAIT = 60.0  # a Retry-After above it is not waited for: the error tells it instead
_WINDOW_PATIENCE = 5.0  # seconds for `GET /models`, which is a help and no more


class ChatEndpoint:
    """One model at one endpoint: Moonshot, SGLang, vLLM, any vendor.

    Args:
        model: the model's name, as the endpoint knows it.
        base_url: what stands before `/chat/completions`, such as `https://api.moonshot.ai/v1`; needless with an `AsyncOpenAI`.
        api_key: sent as a bearer token; `None` and "" send none.
        headers: sent with each request.
        proxy: URL of an HTTP proxy, credentials in it if need be; `None` takes the environment's (`HTTPS_PROXY`, `NO_PROXY` …),
            `""` none. Never used for this machine's own addresses unless it is given here.
        verify: whether the server's certificate is checked; or a file of authorities' certificates; or an SSL context.
        profile: what the model's family can do; by default what its name says.
        timeouts: by default `Timeouts()`; a run's `ModelSettings.timeouts` stand over them.
        max_retries: tries after the first one. Only errors marked `retryable` are tried again, and only while nothing of
            an answer has come. `Retry-After` is honoured up to 60 s.
        client: an `openai.AsyncOpenAI`, `httpx.AsyncClient`, `httpx2.AsyncClient` or `aiohttp.ClientSession` to send through. Its
            own proxy and TLS hold then, and with an `AsyncOpenAI` also its base URL, key and headers. The caller closes it.

    Raises:
        UserError: where no base URL is given, or the client is none of these.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
        profile: Profile | None = None,
        timeouts: Timeouts | None = None,
        max_retries: int = 2,
        client: Client | None = None,
    ) -> None:
        api_key = api_key.strip() if api_key else None  # keys read from files end in a line break
        register_secret(api_key)
        self._base_url, self._transport = transport_for(base_url, proxy, verify, client)
        self._model = model
        self._moonshot = is_moonshot(self._base_url)
        self._profile = profile or profile_for(model, self._base_url)
        self._own_profile = profile is not None
        self._headers = {"content-type": "application/json", **_lowered(headers or {})}
        if api_key is not None and not brings_key(client):
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeouts = timeouts or Timeouts()
        self._max_retries = max_retries
        self._encoder = Encoder(self._profile)
        self._estimates = TokenEstimates()
        self._told_window: int | None = None
        self._window_asked = False
        self._asking: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"ChatEndpoint({self._model!r}, base_url={self.base_url!r})"

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        return self._model

    @property
    def base_url(self) -> str:
        """Where it is, without credentials."""
        return redact(self._base_url)

    @property
    def profile(self) -> Profile:
        """What the model's family can do."""
        return self._profile

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """The parts of one turn, as they come. Raises ProviderError, UserError."""
        check_real_request(self._model)
        settings = request.settings
        clock = Clock(settings.timeouts or self._timeouts)
        body = self._body(request, await clock.first(self._window()) if self._must_ask_window else self._known_window)
        headers = {**self._headers, "accept": "text/event-stream, application/json", **_lowered(settings.extra_headers)}
        tries = 0
        while True:
            begun = False
            try:
                async with aclosing(self._attempt(body, headers, clock)) as batches:
                    async for parts in batches:
                        for part in parts:
                            begun = begun or type(part) is not ResponseInfo  # names alone are no answer yet
                            yield self._priced(part) if type(part) is UsagePart else part
                return
            except ProviderError as error:
                self._explain(error)
                if begun or not error.retryable or tries >= self._max_retries:
                    raise
                wait = _wait(error, tries)
                if wait is None or wait >= clock.left():
                    raise
                tries += 1
                _log.info("try %d of %s failed (%s); the next in %.1f s", tries, self._model, error, wait)
            await asyncio.sleep(wait)

    async def list_models(self) -> list[Json]:
        """What `GET /models` tells: one object a model, with its `id`. Raises ProviderError; UserError where real requests are
        forbidden."""
        check_real_request(self._model or self.base_url)
        try:
            return models_in(await self._get("/models", Clock(self._timeouts)))
        except ProviderError as error:
            self._explain(error)
            raise

    def _body(self, request: ModelRequest, window: int | None) -> bytes:
        budget = completion_budget(request, self._profile, window, self._estimates)
        if budget is not None and budget.left < 0:
            _log.info("the context of %s is full by our estimate (%d tokens over)", self._model, -budget.left)
        return request_body(
            request,
            model=self._model,
            profile=self._profile,
            encoder=self._encoder,
            max_tokens=budget.tokens if budget is not None else None,
            moonshot=self._moonshot,
        )

    async def _attempt(self, body: bytes, headers: Mapping[str, str], clock: Clock) -> AsyncGenerator[list[WirePart]]:
        """One request: its parts, as many at a time as came in one piece."""
        check_real_request(self._model)  # again for each try: the ban may have come in the pause before it
        clock.start_attempt()
        sending = self._transport.send("POST", "/chat/completions", headers=headers, body=body, connect=clock.timeouts.connect)
        answer = await clock.first(sending.__aenter__())
        try:
            if answer.status >= 300:
                raise await error_in(answer, clock)
            async with aclosing(parts_in(answer, clock)) as batches:
                async for parts in batches:
                    yield parts
        finally:
            await sending.__aexit__(None, None, None)

    async def _get(self, path: str, clock: Clock) -> Any:
        clock.start_attempt()
        headers = {k: v for k, v in self._headers.items() if k != "content-type"}
        sending = self._transport.send("GET", path, headers=headers, body=None, connect=clock.timeouts.connect)
        answer = await clock.first(sending.__aenter__())
        try:
            if answer.status >= 300:
                raise await error_in(answer, clock)
            return json.loads(await read_whole(answer, clock))
        except ValueError:
            raise BadResponse(f"GET {redact(self.base_url)}{path} gave no JSON: is the base URL right?") from None
        finally:
            await sending.__aexit__(None, None, None)

    def _explain(self, error: ProviderError) -> None:
        """Redacts what the endpoint said, and adds what to do where that is known."""
        words = redact(str(error))
        if isinstance(error, AuthenticationError):
            words = f"{words} ({self._key_hint()})"
        elif isinstance(error, ConnectionFailed):
            words = f"no answer from {redact(self.base_url)}: {words}. Is it running, and is the base URL right?"
        error.args = (words,)

    def _key_hint(self) -> str:
        if not self._moonshot:
            sent = "the key that was sent is not one for it" if "authorization" in self._headers else "no key was sent"
            return (
                f"{sent}; pass api_key, or set KIMI_API_KEY where KIMI_BASE_URL names the endpoint, KIMI_ENDPOINT_API_KEY where "
                "the model's name does"
            )
        return (
            "set MOONSHOT_API_KEY or KIMI_API_KEY, or pass api_key; keys of api.moonshot.ai, api.moonshot.cn and api.kimi.com "
            f"are not interchangeable, and this is {self.base_url}"
        )

    def _priced(self, part: UsagePart) -> UsagePart:
        price = self._profile.price
        return part if price is None else UsagePart(replace(part.usage, cost_usd=price.cost(part.usage)))

    async def _window(self) -> int | None:
        """Tokens of the context: what the profile says; at self-hosted engines and vendors also what `GET /models` says, since
        they may be started with less than the model can do. Asked once; goes without if that fails."""
        loop = asyncio.get_running_loop()
        if (task := self._asking.get(loop)) is None:
            task = self._asking[loop] = loop.create_task(self._ask_window())
            task.add_done_callback(lambda _: self._asking.pop(loop, None))
        await asyncio.shield(task)  # a run that is cancelled meanwhile does not spoil it for the others
        return self._known_window

    @property
    def _must_ask_window(self) -> bool:
        told_enough = self._own_profile or (self._profile.context_window is not None and self._moonshot)
        return not (told_enough or self._window_asked)

    @property
    def _known_window(self) -> int | None:
        known, told = self._profile.context_window, self._told_window
        return min(known, told) if known is not None and told is not None else told or known

    async def _ask_window(self) -> None:
        check_real_request(self._model)
        try:
            patience = min(_WINDOW_PATIENCE, self._timeouts.connect or _WINDOW_PATIENCE)
            clock = Clock(Timeouts(connect=patience, total=_WINDOW_PATIENCE))
            self._told_window = window_in(await self._get("/models", clock), self._model)
        except (ProviderError, UserError) as error:
            _log.debug("GET /models of %s: %s", self.base_url, error)
        self._window_asked = True


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case names, so that each is sent once; what is a secret among them is kept out of logs."""
    for name, value in headers.items():
        register_header(name, value)
    return {name.lower(): value for name, value in headers.items()}


def _wait(error: ProviderError, tries: int) -> float | None:
    """Seconds before the next try; None where the endpoint asks for more patience than a run should have unasked."""
    asked = error.retry_after if isinstance(error, StatusError) else None
    if asked is not None and asked > _LONGEST_ASKED_WAIT:
        return None
    own = min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries) * random.uniform(0.5, 1.0)
    return own if asked is None else asked + random.uniform(0, 0.1)


if TYPE_CHECKING:
    _model: type[Model] = ChatEndpoint
