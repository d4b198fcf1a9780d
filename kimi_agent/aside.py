"""A request beside the turns of a run: a tool asks the run's model something of its own (`RunContext.ask_model`).

The model sees what it is given and nothing of the run; the run's hooks see the request and the answer; what it uses is journalled
(`AsideEnded`) and counts against the run's limits. Those that are still under way when the run ends, in whatever task, end with it.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol, cast

from kimi_agent.errors import UserError
from kimi_agent.healing import Healing
from kimi_agent.history import project
from kimi_agent.limits import Limits, Usage
from kimi_agent.messages import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage
from kimi_agent.models.base import Model, ModelRequest
from kimi_agent.records import AsideEnded, Record
from kimi_agent.scope import CancelScope
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.context import RunContext
from kimi_agent.tooling.hooks import Hooks
from kimi_agent.tooling.model_hooks import after_model, at_rest, before_model
from kimi_agent.whole import Answer
from kimi_agent.wire.parts import HealedPart

_LARGE = 8192  # tokens; few answers are longer, and an endpoint refuses a bound that is above what its model can write
_PATIENCE = 5.0  # seconds for those under way to end with their run: a model may swallow the cancellation
_OVER = "the run is over: its model is not asked any more"


class Asides:
    """Those of one run.

    Attributes:
        turn: held by the one that is answered, where the run has a limit of tokens or money.
        closed: whether the run has ended for good: nothing is journalled any more.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.closed = False
        self._open: set[CancelScope] = set()
        self._last_left = asyncio.Event()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._open)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """For as long as one is under way. Raises UserError where the run ends first, if nobody has cancelled the task itself."""
        scope = CancelScope(None)
        self._open.add(scope)
        try:
            async with scope:
                yield
            if scope.reason is not None:
                raise UserError(_OVER)
        finally:
            self._open.discard(scope)
            if not self._open:
                self._last_left.set()

    async def end(self) -> None:
        """Cuts short those under way, and waits until they have journalled what they used."""
        for scope in self._open:
            scope.cancel()
        if self._open:
            self._last_left.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._last_left.wait()
        self.closed = True


class AsidePlan(Protocol):
    """What holds for all requests of a run."""

    @property
    def model(self) -> Model: ...
    @property
    def settings(self) -> ModelSettings: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def hooks(self) -> tuple[Hooks, ...]: ...
    @property
    def healing(self) -> Healing: ...


class AsideRun(Protocol):
    """What an aside needs of the run that it is part of.

    Attributes:
        asides: those that are under way.
        ending: whether the run has ended, and begins nothing any more.
    """

    run_id: str
    asides: Asides
    ending: bool
    scope: CancelScope

    @property
    def plan(self) -> AsidePlan: ...
    @property
    def usage(self) -> Usage: ...
    def reached(self) -> str | None: ...
    def spent(self) -> str | None: ...
    def priced(self, usage: Usage) -> Usage: ...
    def cancel(self, reason: str = "cancelled") -> None: ...
    async def heal(self, kind: str, detail: str = "") -> None: ...
    async def record(self, record: Record) -> None: ...
    def made(self, record: type[Any], **values: Any) -> Any: ...
    def context(self, call_id: str = "", tool_name: str = "", retry: int = 0) -> RunContext[Any]: ...


async def ask(
    run: AsideRun, call_id: str, messages: Sequence[Message], instructions: str, settings: ModelSettings | None
) -> AssistantMessage:
    """See `RunContext.ask_model`."""
    context, given = run.context(call_id), _checked(messages)
    await _still_runs(run)
    await _allowed(run, call_id, run.reached())
    request = ModelRequest(
        messages=(SystemMessage(instructions), *given) if instructions else given,
        settings=_settings(run, settings or ModelSettings()),
        conversation_id=f"{run.run_id}_aside",  # who counted the tokens of the run's own conversation is not to be mixed up
    )
    async with run.asides.one():
        asked, hooks = await before_model(at_rest(run.plan.hooks), context, request)
        await _still_runs(run)
        message = asked if isinstance(asked, AssistantMessage) else await _answered(run, call_id, asked)
    message = await after_model(hooks, context, replace(message, tool_calls=(), cut_calls=()))
    await _still_runs(run)
    return message


def _checked(messages: Sequence[Message]) -> tuple[Message, ...]:
    given = cast(tuple[object, ...], tuple(messages))
    if not given or not all(isinstance(m, UserMessage | AssistantMessage | SystemMessage | ToolMessage) for m in given):
        raise UserError("ask_model takes a list of messages, and at least one: ask_model([UserMessage('…')])")
    return tuple(project(messages))


async def _still_runs(run: AsideRun) -> None:
    """Where somebody has ended the run, a hook for example, the cancellation comes here; a task outside the run gets UserError."""
    await run.scope.arrive()
    if run.ending or run.scope.over:
        raise UserError(_OVER)


async def _allowed(run: AsideRun, call_id: str, limit: str | None) -> None:
    """Raises UserError where this limit is reached. Outside a tool nobody would make a result of it, so there it ends the run as
    any limit does."""
    if limit is None:
        return
    if not call_id:
        run.cancel(limit)
        await run.scope.arrive()
    knob = {"cost": "cost_usd"}.get(limit, limit)
    raise UserError(
        f"the model was not asked: the run has reached its limit of {limit}, Limits({knob}={getattr(run.plan.limits, knob)})"
    )


def _settings(run: AsideRun, given: ModelSettings) -> ModelSettings:
    """The run's, without what shapes its own answers and calls, and over them those given."""
    base = replace(run.plan.settings, response_format=None, prefill=None, stop=None)
    return replace(given.over(base), tool_choice=None, parallel_tool_calls=None)


async def _answered(run: AsideRun, call_id: str, request: ModelRequest) -> AssistantMessage:
    """The model's answer. Where tokens or money are limited, those asked at once are answered one by one: what each leaves for the
    next is known when it is over."""
    limits = run.plan.limits
    if limits.tokens is None and limits.cost_usd is None:
        return await _answer(run, call_id, request)
    async with run.asides.turn:
        await _allowed(run, call_id, run.spent())
        return await _answer(run, call_id, replace(request, settings=_bounded(run, request.settings)))


def _bounded(run: AsideRun, settings: ModelSettings) -> ModelSettings:
    """No more tokens than the limits leave."""
    limits, used, price = run.plan.limits, run.usage, run.plan.model.profile.price
    left = [] if limits.tokens is None else [limits.tokens - used.total_tokens]
    if limits.cost_usd is not None and price is not None and price.output > 0:
        left.append(int((limits.cost_usd - used.cost_usd) / price.output * 1e6))
    bounds = [max(1, tokens) for tokens in left if tokens < (settings.max_tokens or _LARGE)]
    return replace(settings, max_tokens=min(bounds)) if bounds else settings


async def _answer(run: AsideRun, call_id: str, request: ModelRequest) -> AssistantMessage:
    """The model's answer. Raises ProviderError; what was used is journalled all the same."""

    async def heal(part: HealedPart) -> None:
        if not run.asides.closed:
            await run.heal(part.kind, part.detail)

    answer = Answer(run.plan.model, request, run.plan.healing, heal)
    try:
        return await answer.read()
    finally:
        if not run.asides.closed:
            await run.record(run.made(AsideEnded, call_id=call_id, usage=run.priced(answer.usage)))
