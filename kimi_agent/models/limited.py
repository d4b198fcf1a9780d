"""`LimitedModel`: a model whose requests wait for a place in a `Limiter`."""

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from kimi_agent.limits import Usage
from kimi_agent.models.base import Model, ModelRequest, Profile
from kimi_agent.models.budget import TokenEstimates
from kimi_agent.models.lazy import LazyModel
from kimi_agent.models.limiter import Limiter
from kimi_agent.wire.parts import UsagePart, WirePart

_ANSWER = 1024  # tokens taken for an answer of unknown length, until its usage is known


class LimitedModel:
    """The same model, under a limiter that any number of models may share.

    What counts is a request of the loop, from its first byte until its answer has ended or was closed. That an endpoint tries
    again (`ChatEndpoint(max_retries=…)`) is not seen here: the tries of one request have its one place.

    Args:
        model: a name, looked up at the first request, or a `Model`.
        limiter: see `Limiter`.

    Raises:
        UserError: for what is no model.
    """

    def __init__(self, model: str | Model, limiter: Limiter) -> None:
        self._inner = LazyModel(model)
        self._limiter = limiter
        self._estimates = TokenEstimates()
        self._lock = threading.Lock()  # the estimates are asked for from several loops

    def __repr__(self) -> str:
        return f"LimitedModel({self.name!r}, {self._limiter!r})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._inner.name

    @property
    def profile(self) -> Profile:
        """What the model's family can do. Raises UserError where the model cannot be had."""
        return self._inner.model.profile

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """The parts of one turn, as they come, once there is a place. Raises what the model raises, and ProviderTimeout with phase
        "queue"."""
        model = self._inner.model
        tokens = self._tokens(request) if self._limiter.counts_tokens else 0
        async with self._limiter.place(tokens) as place, aclosing(model.stream(request)) as parts:
            async for part in parts:
                if type(part) is UsagePart and part.usage.total_tokens:
                    place.settle(_counted(part.usage, request))
                yield part

    def _tokens(self, request: ModelRequest) -> int:
        """Of the request and its answer, on the high side."""
        known = request.known_tokens
        with self._lock:
            rest = self._estimates.messages(request.messages[request.known_messages :] if known else request.messages)
            tools = 0 if known else self._estimates.tools(request.tools)  # what the endpoint counted has the tools in it
        return known + rest + tools + (request.settings.max_tokens or _ANSWER)


def _counted(usage: Usage, request: ModelRequest) -> int:
    """An answer counts as long as it was allowed to be: gateways take the request's `max_tokens`, not what was generated
    (platform.moonshot.cn docs/introduction, on rate limits)."""
    return usage.input_tokens + max(usage.output_tokens, request.settings.max_tokens or 0)


if TYPE_CHECKING:
    _model: type[Model] = LimitedModel
