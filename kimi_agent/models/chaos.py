"""A model that has bad days: wraps any other, and does to its answers what networks, vendors and models do.

model = ChaosModel(ScriptedModel([call("pay", amount=3), "Paid."]), seed=7, rate=0.5)
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from random import Random

from kimi_agent.errors import ProviderError, UserError
from kimi_agent.models.base import Model, ModelRequest, Profile
from kimi_agent.models.faults import FAULTS, Fault, known
from kimi_agent.models.spoil import Pause, Step
from kimi_agent.wire.parts import WirePart


@dataclass(frozen=True, slots=True, order=True)
class Injected:
    """A fault that was injected.

    Attributes:
        run: which run, from 1, in the order in which runs first asked the model.
        request: which request of that run, from 1.
        fault: its name; see `FAULTS`.
    """

    run: int
    request: int
    fault: Fault

    def __str__(self) -> str:
        return f"run {self.run}, request {self.request}: {self.fault}"


class ChaosModel:
    """Injects faults into the answers of another model, the same for the same seed.

    Whether a request meets a fault, and which, is decided by the seed, the number of its run (in the order in which runs first
    ask) and the number of the request in its run, by nothing else: how concurrent runs take turns does not matter as long as
    they begin in the same order. A turn that is spoiled is taken from the model as a whole, then handed on; the others are
    handed on as they come. Faults that happen before the model is asked use no turn of it up. A fault that the turn has no place
    for, such as a broken call in a turn without calls, gives way to another one.

    Args:
        model: whose answers are spoiled.
        seed: what is decided by.
        rate: how many of the requests meet a fault, 0 to 1.
        faults: names of the faults that may happen, by default all: see `FAULTS`, a table of names and words.
        pause: seconds of one pause of "slow_parts".

    Attributes:
        injected: what was injected so far.
        requests: every request so far, as the loop made it.
    """

    def __init__(
        self, model: Model, *, seed: int = 0, rate: float = 0.3, faults: Iterable[Fault] | None = None, pause: float = 0.001
    ) -> None:
        """Raises UserError for a rate that is none, and for a name that is none."""
        if not 0 <= rate <= 1:
            raise UserError(f"rate={rate}: it is a share, from 0 to 1")
        try:
            self.faults = known(FAULTS if faults is None else faults)
        except KeyError as error:
            raise UserError(f"there is no fault {error}: there are {', '.join(FAULTS)}") from None
        self.seed, self.rate = seed, rate
        self.injected: list[Injected] = []
        self.requests: list[ModelRequest] = []
        self._model, self._pause = model, pause
        self._asked: dict[str | None, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"ChaosModel({self._model!r}, seed={self.seed}, rate={self.rate})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def profile(self) -> Profile:
        """What the model's family can do."""
        return self._model.profile

    async def stream(self, request: ModelRequest) -> AsyncGenerator[WirePart]:
        """Raises what the model raises, and ProviderError as a fault."""
        self.requests.append(request)
        run, number = self._counted(request)
        random = Random(f"{self.seed}/{run}/{number}")
        if random.random() >= self.rate or not self.faults:
            async with aclosing(self._model.stream(request)) as parts:
                async for part in parts:
                    yield part
            return
        for step in await self._spoiled(request, random, run, number):
            if isinstance(step, Pause):
                await asyncio.sleep(self._pause)
            elif isinstance(step, Exception):
                raise step
            else:
                await asyncio.sleep(0)  # as a stream does: whoever reads is cancelled between two parts, tools begin
                yield step

    def _counted(self, request: ModelRequest) -> tuple[int, int]:
        run, number = self._asked.get(request.conversation_id, (len(self._asked) + 1, 0))
        self._asked[request.conversation_id] = (run, number + 1)
        return run, number + 1

    async def _spoiled(self, request: ModelRequest, random: Random, run: int, number: int) -> list[Step]:
        """The turn with the first of the faults, in an order of their own, that it has a place for."""
        turn: list[WirePart] = []
        failure: ProviderError | None = None
        asked = False
        for fault in random.sample(self.faults, len(self.faults)):
            kind = FAULTS[fault]
            if not (asked or kind.early):
                turn, failure = await self._turn(request)
                asked = True
            if failure is not None:
                break  # it fails by itself
            if (kind.early and asked) or (steps := kind.spoil(turn, random)) is None:
                continue
            self.injected.append(Injected(run, number, fault))
            return steps
        return [*turn, failure] if failure is not None else [*turn]

    async def _turn(self, request: ModelRequest) -> tuple[list[WirePart], ProviderError | None]:
        turn: list[WirePart] = []
        try:
            async with aclosing(self._model.stream(request)) as parts:
                async for part in parts:
                    turn.append(part)
        except ProviderError as error:
            return turn, error
        return turn, None
