"""The agent loop. Read this first: everything else is called from here.

    generate    one request → one turn of the model, its calls offered to the dispatcher as soon as they are complete
    step        one turn and the results of its calls
    run         steps until the model makes no more calls, something waits for a person, or a limit is reached

There is one loop: streaming is this loop with somebody listening to `run.emit`. What happens is written to the journal before it
is relied on, so a run that stops anywhere can go on from what its journal says.
"""

from contextlib import aclosing
from dataclasses import replace

from kimi_agent.errors import ProviderError, StreamBroken
from kimi_agent.events import InputReceived, TurnBegin, TurnEnd
from kimi_agent.history import UNKNOWN_OUTCOME
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, ToolMessage
from kimi_agent.records import CallFinished, CallMade, InputAdded, RunEnded, TurnEnded
from kimi_agent.request import offered_tools, request_for
from kimi_agent.run import AnyTool, Run, new_id
from kimi_agent.tooling.dispatch import Dispatcher
from kimi_agent.turn import Turn


async def run(run: Run) -> str:
    """Steps until the end; returns the stop reason: "completed", "pending", "length", a limit's name, or why it was cancelled.

    Raises ProviderError for what the endpoint did, with `messages` to go on from, and UserError for what cannot be sent.
    """
    stop = None
    try:
        async with run.scope:
            await _close_broken_turn(run)
            while stop is None:
                stop = await _limit_reached(run) or await step(run)
    except ProviderError as e:
        e.messages = run.conversation.history
        raise
    if run.streaming is not None:  # cancelled while the model spoke: what it had said is kept
        await _end_turn(run, run.streaming)
    stop = stop or run.scope.reason or "cancelled"
    await run.record(run.made(RunEnded, stop_reason=stop))
    return stop


async def step(run: Run) -> str | None:
    """One turn and the results of its calls; or, in a run that is taken up again, the results that are missing.

    Returns the stop reason if the run is over with it.
    """
    tools = await offered_tools(run)
    plan = run.plan
    async with Dispatcher(run, tools, plan.dispatch, plan.hooks, plan.approver) as dispatcher:
        message = None
        if run.conversation.unanswered:
            await _take_up(run, tools, dispatcher)
        else:
            message = await generate(run, tools, dispatcher)
        await dispatcher.settle()
    if run.conversation.unanswered:
        return "pending"
    if message is None:
        return None
    run.guard.turn_ended(message.tool_calls, exempt=[t.name for t in tools.values() if t.rules.repeatable])
    if message.tool_calls or run.inbox:
        return None
    return "length" if message.finish_reason == "length" else "completed"


async def generate(run: Run, tools: dict[str, AnyTool], dispatcher: Dispatcher) -> AssistantMessage:
    """Asks the model once. Complete calls are journalled and offered as they come.

    A stream that breaks is an error, unless calls were complete: they may run already, so the turn is closed with them instead.
    """
    request = await request_for(run, tools)
    run.emit(TurnBegin, run.turn)
    turn = run.streaming = Turn(run.emit, new_id, run.conversation.next_index)
    try:
        async with aclosing(run.plan.model.stream(request)) as parts:
            async for part in parts:
                for call in turn.feed(part):
                    await run.record(run.made(CallMade, call=call, text=turn.text, reasoning=turn.reasoning))
                    dispatcher.offer(call)
        if not turn.finished:
            raise StreamBroken("the answer broke off: the stream ended without a finish reason")
    except ProviderError:
        if dispatcher.idle:
            run.streaming = None
            raise
    message = await _end_turn(run, turn)
    if turn.usage.input_tokens:
        run.known_tokens, run.known_messages = turn.usage.total_tokens, len(request.messages) + 1
    for hook in run.plan.hooks:
        await hook.after_model(run.context(), message)
    return message


async def _end_turn(run: Run, turn: Turn) -> AssistantMessage:
    message, usage = turn.message(), _priced(run, turn.usage)
    run.streaming = None
    await run.record(run.made(TurnEnded, message=message, usage=usage))
    run.emit(TurnEnd, run.turn - 1, message, usage)
    return message


def _priced(run: Run, usage: Usage) -> Usage:
    price = run.plan.model.profile.price
    return replace(usage, cost_usd=price.cost(usage)) if price and not usage.cost_usd else usage


async def _limit_reached(run: Run) -> str | None:
    """Takes in what was injected, and names the limit that forbids another turn, if one does.

    Calls that a broken run left open are settled whatever the limits say.
    """
    if run.conversation.unanswered:
        return None
    while run.inbox:
        message = run.inbox.popleft()
        await run.record(run.made(InputAdded, messages=(message,)))
        run.emit(InputReceived, message)
    limits, used = run.plan.limits, run.usage
    reached = {
        "turns": limits.turns is not None and run.turn >= limits.turns,
        "tokens": limits.tokens is not None and used.total_tokens >= limits.tokens,
        "cost": limits.cost_usd is not None and used.cost_usd >= limits.cost_usd,
        "repeated_calls": limits.repeats is not None and run.guard.longest >= limits.repeats,
    }
    return next((name for name, is_reached in reached.items() if is_reached), None)


async def _close_broken_turn(run: Run) -> None:
    """A journal that stops in mid-turn: what is known of the turn is all that there will be of it."""
    if (turn := run.conversation.broken_turn) is not None:
        await run.record(run.made(TurnEnded, message=turn, usage=Usage(requests=1)))


async def _take_up(run: Run, tools: dict[str, AnyTool], dispatcher: Dispatcher) -> None:
    """Calls that have no result yet. One that was never started is run now; one that was started is run again only if its tool
    is idempotent, else the model is told that nobody knows; one that waits for a result from outside goes on waiting."""
    conversation = run.conversation
    for call in conversation.unanswered:
        tool = tools.get(call.name)
        if call.id not in conversation.started or (tool is not None and tool.rules.idempotent):
            dispatcher.offer(call)
        elif call.id not in conversation.pending:
            unknown = ToolMessage(call.id, call.name, UNKNOWN_OUTCOME, is_error=True)
            await run.record(run.made(CallFinished, result=unknown))
