"""A request beside the turns of a run: a tool asks the run's model something of its own (`RunContext.ask_model`).

The model sees what it is given and nothing of the run; the run's hooks see the request and the answer; what it uses is journalled
(`AsideEnded`) and counts against the run's limits.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol, cast

from kimi_agent.errors import StreamBroken, UserError
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
from kimi_agent.turn import Turn
from kimi_agent.wire.healing import Healer
from kimi_agent.wire.healing.names import Names
from kimi_agent.wire.parts import HealedPart

_LARGE = 8192  # tokens; few answers are longer, and an endpoint refuses a bound that is above what its model can write
_NO_CALLS = Names({})


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
        asides_open: asides that are under way.
        ending: whether the run has ended, and takes no records any more.
    """

    run_id: str
    asides_open: int
    ending: bool
    scope: CancelScope

    @property
    def plan(self) -> AsidePlan: ...
    @property
    def usage(self) -> Usage: ...
    def reached(self) -> str | None: ...
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
    await _allowed(run, call_id)
    run.asides_open += 1
    try:
        request = ModelRequest(
            messages=(SystemMessage(instructions), *given) if instructions else given,
            settings=_settings(run, settings or ModelSettings()),
            conversation_id=f"{run.run_id}_aside",  # who counted the tokens of the run's own conversation is not to be mixed up
        )
        asked, hooks = await before_model(at_rest(run.plan.hooks), context, request)
        await _still_runs(run)
        message = asked if isinstance(asked, AssistantMessage) else await _answer(run, call_id, asked)
    finally:
        run.asides_open -= 1
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
        raise UserError("the run is over: its model is not asked any more")


async def _allowed(run: AsideRun, call_id: str) -> None:
    """Raises UserError where a limit is reached. Outside a tool nobody would make a result of it, so there it ends the run as any
    limit does."""
    limit = run.reached()
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
    """The run's, without what shapes its own answers and calls, and over them those given; no more tokens than the limits leave."""
    base = replace(run.plan.settings, response_format=None, prefill=None, stop=None)
    settings = replace(given.over(base), tool_choice=None, parallel_tool_calls=None)
    limits, used, price = run.plan.limits, run.usage, run.plan.model.profile.price
    left = [] if limits.tokens is None else [limits.tokens - used.total_tokens]
    if limits.cost_usd is not None and price is not None and price.output > 0:
        left.append(int((limits.cost_usd - used.cost_usd) / price.output * 1e6))
    bounds = [max(1, tokens) for tokens in left if tokens < (settings.max_tokens or _LARGE)]
    return replace(settings, max_tokens=min(bounds)) if bounds else settings


async def _answer(run: AsideRun, call_id: str, request: ModelRequest) -> AssistantMessage:
    """The model's answer. Raises ProviderError; what was used is journalled all the same."""
    healing, profile = run.plan.healing, run.plan.model.profile
    unmarked = profile.unmarked_thoughts and profile.thinks(request.settings)
    healer = Healer(_NO_CALLS, leaks=healing.leaks, unmarked_thoughts=unmarked)
    turn, begun = Turn(_unheard, str, 0, release=healer.release), False
    try:
        async with aclosing(run.plan.model.stream(request)) as parts:
            async for part in parts:
                begun = True
                for healed in healer.feed(part):
                    if type(healed) is HealedPart:
                        await run.heal(healed.kind, healed.detail)
                    turn.feed(healed)
        if not turn.finished:
            raise StreamBroken("the answer broke off: the stream ended without a finish reason, or the engine gave up")
        return turn.message()
    finally:
        if not run.ending:
            usage = run.priced(turn.usage) if begun else Usage()
            await run.record(run.made(AsideEnded, call_id=call_id, usage=usage))


def _unheard(*event: Any, **more: Any) -> None:
    """Those who watch the run see its own turns."""
