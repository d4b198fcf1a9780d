"""A request whose answer is wanted as a whole, by nobody who watches it being written."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from kimi_agent.errors import StreamBroken
from kimi_agent.healing import Healing
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage
from kimi_agent.models.base import Model, ModelRequest
from kimi_agent.turn import Turn
from kimi_agent.wire.healing import Healer
from kimi_agent.wire.healing.names import Names
from kimi_agent.wire.parts import HealedPart

_NO_CALLS = Names({})


async def _untold(healed: HealedPart) -> None:
    """Nobody counts what was put right."""


class Answer:
    """Of one request without tools."""

    def __init__(
        self,
        model: Model,
        request: ModelRequest,
        healing: Healing,
        on_healed: Callable[[HealedPart], Awaitable[None]] = _untold,
    ) -> None:
        """`on_healed` is told what was put right in it."""
        unmarked = model.profile.unmarked_thoughts and model.profile.thinks(request.settings)
        self._model, self._request, self._on_healed = model, request, on_healed
        self._healer = Healer(_NO_CALLS, leaks=healing.leaks, unmarked_thoughts=unmarked)
        self._turn = Turn(_unheard, str, 0, release=self._healer.release)
        self._begun = False

    async def read(self) -> AssistantMessage:
        """The answer, once it is there. Raises ProviderError."""
        async with aclosing(self._model.stream(self._request)) as parts:
            async for part in parts:
                self._begun = True
                for healed in self._healer.feed(part):
                    if type(healed) is HealedPart:
                        await self._on_healed(healed)
                    self._turn.feed(healed)
        if not self._turn.finished:
            raise StreamBroken("the answer broke off: the stream ended without a finish reason, or the engine gave up")
        return self._turn.message()

    @property
    def usage(self) -> Usage:
        """What it has used so far; nothing where the model never began."""
        return self._turn.usage if self._begun else Usage()


def _unheard(*event: Any, **more: Any) -> None:
    """Nobody watches."""
