"""The agent loop. Read this first: everything else is called from here.

    generate    one turn of the model, its calls offered to the dispatcher as soon as they are complete
    step        one turn and the results of its calls
    run         steps until the model makes no more calls, something waits for a person, or a limit is reached

There is one loop: streaming is this loop with somebody listening to `run.emit`. What happens is written to the journal before it
is relied on, so a run that stops anywhere can go on from what its journal says.
"""

from asyncio import CancelledError
from contextlib import aclosing

from kimi_agent.again import after_break, after_empty, went_well
from kimi_agent.conclude import called_in_text, concluded
from kimi_agent.errors import KimiAgentError, ProviderError, StreamBroken
from kimi_agent.events import InputReceived, TurnBegin, TurnEnd
from kimi_agent.healed import healing_of, learn_from, mending_of
from kimi_agent.history import UNKNOWN_OUTCOME
from kimi_agent.hooked import answering, seen, turn_over
from kimi_agent.limits import Usage
from kimi_agent.messages import AssistantMessage, ToolMessage
from kimi_agent.records import CallFinished, CallMade, InputAdded, RunEnded, TurnEnded
from kimi_agent.request import TurnTools, request_for, tools_of
from kimi_agent.run import AnyTool, Run, new_id
from kimi_agent.tooling.dispatch import Dispatcher
from kimi_agent.turn import Turn, has_content
from kimi_agent.wire.parts import HealedPart, ResponseInfo, WirePart


async def run(run: Run) -> str:
    """Steps until the end; returns the stop reason: "completed", "pending", "length", a limit's name, or why it was cancelled.

    Raises ProviderError for what the endpoint did, and UserError for what cannot be sent, with `messages` to go on from.
    """
    stop = None
    try:
        async with run.scope:
            await _close_broken_turn(run)
            while stop is None:
                stop = run.scope.over or await _over(run) or await step(run)
        await _end(run, stop := run.scope.over or stop or run.scope.reason or "cancelled")
        return stop
    except (Exception, CancelledError) as e:
        if not run.ending:
            await _end(run, "cancelled" if isinstance(e, CancelledError) else "error")
        if isinstance(e, KimiAgentError):
            e.messages = run.conversation.history
        raise


async def step(run: Run) -> str | None:
    """One turn and the results of its calls; or, in a run that is taken up again, the results that are missing.

    Returns the stop reason if the run is over with it.
    """
    tools = await tools_of(run)
    plan, repeatable = run.plan, [t.name for t in tools.known.values() if t.rules.repeatable]
    run.seed_guard(repeatable)
    known = {**plan.output.tools, **tools.known}  # an output function may be called where its tool is not on offer
    async with Dispatcher(run, known, plan.dispatch, plan.hooks, plan.approver) as dispatcher:
        message = None
        if run.conversation.unanswered:
            await _take_up(run, known, dispatcher)
        else:
            message = await generate(run, tools, dispatcher)
        await dispatcher.settle()
    await turn_over(run)
    if message is not None:
        run.guard.turn_ended(message.tool_calls, repeatable)
    if run.conversation.unanswered:
        return "pending"
    return None if message is None else await concluded(run, message, known)


async def generate(run: Run, tools: TurnTools, dispatcher: Dispatcher) -> AssistantMessage:
    """Asks the model until a turn stands: one that broke off before it called anything, or is empty, is asked for again."""
    for hook in run.plan.hooks:
        await hook.before_turn(run.context())
    while True:
        await run.scope.arrive()  # a hook may have ended the run: then the model is not asked
        if (message := await _request(run, tools, dispatcher)) is not None:
            return message


async def _request(run: Run, tools: TurnTools, dispatcher: Dispatcher) -> AssistantMessage | None:
    """Asks once; None where it is to be asked again. Complete calls are journalled and offered as they come.

    A stream that breaks behind complete calls is not asked for again: they may run already, so the turn is closed with them.
    """
    request = await request_for(run, tools.offered)
    answer, hooks = await answering(run, request)
    await run.scope.arrive()
    run.emit(TurnBegin, run.turn)
    healer, begun = healing_of(run, tools.offered, tools.known), False
    turn = Turn(run.emit, new_id, run.conversation.next_index, mending_of(run, tools.known), healer.release)
    run.streaming = turn
    try:
        async with aclosing(answer) as parts:
            async for part in parts:
                begun = begun or type(part) is not ResponseInfo
                for healed in healer.feed(part):
                    await _take(run, turn, healed, dispatcher)
        if not turn.finished:
            raise StreamBroken("the answer broke off: the stream ended without a finish reason, or the engine gave up")
        for part in called_in_text(run, turn):
            await _take(run, turn, part, dispatcher)
    except ProviderError as error:
        if dispatcher.idle and not turn.finished:
            if begun and await after_break(run, turn, error):
                return None
            run.streaming = None
            run.emit(TurnEnd, run.turn, turn.message(), turn.usage)
            raise
    said = turn.message()
    by_model = len(hooks) == len(run.plan.hooks)  # else a hook has answered for it, and means what it says
    run.said_nothing = by_model and not has_content(said)
    if run.said_nothing and await after_empty(run, turn, said):
        return None
    message = await seen(run, said, hooks) if hooks else said
    if by_model:
        learn_from(run, said)
    went_well(run, message)
    message = await _end_turn(run, turn, message)
    run.said_tokens = turn.usage.output_tokens
    if turn.usage.input_tokens:
        run.known_tokens, run.known_messages = turn.usage.total_tokens, len(request.messages) + 1
    return message


async def _take(run: Run, turn: Turn, part: WirePart, dispatcher: Dispatcher) -> None:
    if type(part) is HealedPart:
        await run.heal(part.kind, part.detail)
        return
    for call in turn.feed(part):
        await run.record(run.made(CallMade, call=call, text=turn.text, reasoning=turn.reasoning))
        if call.repaired is not None:
            await run.heal("arguments", call.name)
        dispatcher.offer(call)


async def _take_in(run: Run) -> None:
    """Injected messages, into the journal: none that was accepted is lost."""
    while run.inbox:
        message = run.inbox[0]
        await run.record(run.made(InputAdded, messages=(message,), queued=True))
        run.inbox.popleft()
        run.emit(InputReceived, message)


async def _end(run: Run, stop: str) -> None:
    """What was said in a turn that was cancelled is kept, and so is what was injected and not heard."""
    run.ending = True
    if run.streaming is not None:
        await _end_turn(run, run.streaming)
    await _take_in(run)
    await run.record(run.made(RunEnded, stop_reason=stop))


async def _end_turn(run: Run, turn: Turn, message: AssistantMessage | None = None) -> AssistantMessage:
    message, usage, number = message or turn.message(), run.priced(turn.usage), run.turn
    run.streaming = None
    if turn.finished or has_content(message):
        await run.record(run.made(TurnEnded, message=message, usage=usage))
    run.emit(TurnEnd, number, message, usage)
    return message


async def _over(run: Run) -> str | None:
    """Takes in what was injected, and says why there is no other turn: the answer is there, or a limit forbids it.

    Calls that a broken run left open are settled whatever the limits say.
    """
    if run.conversation.unanswered:
        return None
    await _take_in(run)
    if run.accepted:
        return "completed"
    if (limit := run.reached()) is not None:
        return limit
    repeats = run.plan.limits.repeats
    return "repeated_calls" if repeats is not None and run.guard.longest >= repeats else None


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
