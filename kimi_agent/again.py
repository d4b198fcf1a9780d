"""When the model is asked again: after a stream that broke, a turn without content, a call that was cut off or only announced.

A turn that is asked for again stays in the journal (`TurnDropped`) and is not part of the history.
"""

import asyncio
import random
import re

from kimi_agent.errors import BadResponse, ProviderError, StatusError, StreamBroken
from kimi_agent.events import TurnEnd
from kimi_agent.messages import AssistantMessage, UserMessage
from kimi_agent.records import InputAdded, TurnDropped
from kimi_agent.run import Run
from kimi_agent.turn import Turn

_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_ASKED_WAIT = 0.5, 8.0, 60.0  # seconds
_LEAST_ROOM = 2048  # tokens
FILTERED = "content_filter"
_CUT = (
    "[{calls} cut off before the arguments were complete, and not run. Make the call again; if the arguments are long, do it in "
    "smaller pieces.]"
)
_CUT_AGAIN = "[{calls} cut off again, and not run.]"
_NUDGE = "[You announced a tool call and made none. Make it now; or, if none is needed, give your answer.]"
# At the end of a turn: "I'll call …", "Let me check …" (Kimi-K2#81, github/app#1821)
_ANNOUNCES = re.compile(
    r"\b(?:i(?:'|’)ll|i will|i(?:'|’)m going to|i am going to|let me|let(?:'|’)s|next,? i)\b(?: \w+){0,3}? "
    r"(?:call|use|run|execute|invoke|check|look|search|fetch|query|read|open|get|find|start)\b[^\n]{0,200}$"
    r"|(?:我(?:来|将|会|先|去|这就)|让我|现在)[^。\n]{0,20}(?:调用|查询|搜索|使用|运行|执行|查看|读取|检查|获取)[^\n]{0,100}$",
    re.IGNORECASE,
)


async def after_break(run: Run, turn: Turn, error: ProviderError) -> bool:
    """Whether the turn is asked for again whose stream broke; waits before it is. None of its calls may have been offered."""
    worth_it = error.retryable or isinstance(error, BadResponse | StreamBroken)
    if (
        not worth_it
        or run.spent(turn.usage)
        or run.streaks.broken >= run.plan.healing.broken_streams
        or (wait := _wait(error, run.streaks.broken)) is None
    ):
        return False
    run.streaks.broken += 1
    await drop(run, turn, "broken_stream", str(error))
    await asyncio.sleep(wait)
    return True


async def after_empty(run: Run, turn: Turn, message: AssistantMessage) -> bool:
    """Whether the turn is asked for again because it holds nothing that could be answered or shown."""
    if message.finish_reason == FILTERED or run.spent(turn.usage) or run.streaks.empty >= run.plan.healing.empty_turns:
        return False
    run.streaks.empty += 1
    if message.finish_reason == "length":
        _more_room(run, turn.usage.output_tokens)
    thought = "thoughts and nothing else" if message.reasoning else "neither text nor a call"
    await drop(run, turn, "empty_turn", thought)
    return True


async def after_cut(run: Run, message: AssistantMessage) -> bool:
    """Whether the calls that were cut off are asked for again; the model is told which."""
    if not message.cut_calls or run.reached() == "turns":
        return False
    is_asked = run.streaks.cuts < run.plan.healing.cut_calls
    if not is_asked and not message.tool_calls:
        return False
    if is_asked:
        run.streaks.cuts += 1
        _more_room(run, run.said_tokens)
    names = " and ".join(dict.fromkeys(c.name or "a call" for c in message.cut_calls))
    verb = "was" if len(message.cut_calls) == 1 else "were"
    await _say(run, (_CUT if is_asked else _CUT_AGAIN).format(calls=f"Your call of {names} {verb}"))
    if is_asked:
        await run.heal("cut_call", names)
    return True


async def after_announcement(run: Run, message: AssistantMessage, *, can_call: bool) -> bool:
    """Whether the model is reminded of a call that it announced and did not make."""
    can_call = can_call and run.plan.settings.tool_choice != "none"
    announced = can_call and message.finish_reason != "length" and _ANNOUNCES.search(message.text.rstrip()[-400:])
    if not run.plan.healing.nudge or not announced or run.streaks.nudges:
        return False
    run.streaks.nudges += 1
    await _say(run, _NUDGE)
    await run.heal("announced_call", message.text.rstrip()[-80:])
    return True


def went_well(run: Run, message: AssistantMessage) -> None:
    """A turn stands: what went wrong before it is no succession any more."""
    run.streaks.broken = run.streaks.empty = 0
    if not message.cut_calls:
        run.streaks.cuts = run.streaks.room = 0
    if message.tool_calls:
        run.streaks.nudges = 0


async def drop(run: Run, turn: Turn, kind: str, detail: str) -> None:
    """Journals a turn that is no part of the history, and tells those who watch."""
    run.streaming = None
    message, usage = turn.message(), run.priced(turn.usage)
    try:
        await run.record(run.made(TurnDropped, message=message, usage=usage, reason=kind))
    finally:
        run.emit(TurnEnd, run.turn, message, usage)
    await run.heal(kind, detail)


def _more_room(run: Run, used: int) -> None:
    run.streaks.room = 2 * max(run.streaks.room, used, run.plan.settings.max_tokens or 0, _LEAST_ROOM)


async def _say(run: Run, text: str) -> None:
    await run.record(run.made(InputAdded, messages=(UserMessage(text),)))


def _wait(error: ProviderError, tries: int) -> float | None:
    """Seconds; None where the endpoint asks for more patience than a run should have unasked."""
    asked = error.retry_after if isinstance(error, StatusError) else None
    if asked is not None:
        return asked if asked <= _LONGEST_ASKED_WAIT else None
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries) * random.uniform(0.5, 1.0)
