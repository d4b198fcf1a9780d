"""The model that an endpoint serves, whatever its name is."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from kimi_agent.errors import BadResponse
from kimi_agent.models.base import ModelRequest, Profile
from kimi_agent.models.endpoint import ChatEndpoint
from kimi_agent.models.profiles import UNKNOWN
from kimi_agent.models.real_requests import check_real_request
from kimi_agent.wire.parts import WirePart


class ServedModel:
    """The first model of an endpoint's `GET /models`, asked at the first request. Until then `name` is "" and nothing is known
    of the family."""

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        self._base_url, self._api_key = base_url, api_key
        self._asking = ChatEndpoint("", base_url=base_url, api_key=api_key)
        self._endpoint: ChatEndpoint | None = None

    def __repr__(self) -> str:
        return f"ServedModel({self.name!r}, base_url={self._asking.base_url!r})"

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it; "" until it was asked."""
        return self._endpoint.name if self._endpoint is not None else ""

    @property
    def profile(self) -> Profile:
        """What the model's family can do."""
        return self._endpoint.profile if self._endpoint is not None else UNKNOWN

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """The parts of one turn, as they come. Raises ProviderError, UserError."""
        check_real_request(self.name or self._asking.base_url)
        endpoint = self._endpoint or await self._find()
        async with aclosing(endpoint.stream(request)) as parts:
            async for part in parts:
                yield part

    async def _find(self) -> ChatEndpoint:
        names = [name for m in await self._asking.list_models() if isinstance(name := m.get("id"), str) and name]
        if not names:
            raise BadResponse(f"{self._asking.base_url}/models names no model: name one, as in 'openai:URL#model'")
        if self._endpoint is None:  # another run may have been faster
            self._endpoint = ChatEndpoint(names[0], base_url=self._base_url, api_key=self._api_key)
        return self._endpoint
