"""What a run begins with: prompts in all their forms, options, decisions and results from outside.

Bad input is refused here, with a text that says what to change.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, cast

from kimi_agent.errors import UserError
from kimi_agent.history import NO_RESULT
from kimi_agent.limits import Limits
from kimi_agent.messages import (
    AssistantMessage,
    Content,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from kimi_agent.records import CallDecided, CallFinished, InputAdded
from kimi_agent.run import Run
from kimi_agent.sessions.journal import Journal
from kimi_agent.settings import ModelSettings
from kimi_agent.tooling.approval import declined
from kimi_agent.tooling.result import ToolResult, capped, to_content

Prompt: TypeAlias = Content | Sequence[Message] | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class ResumeOptions(TypedDict, total=False):
    """What may be said anew when a run is taken up.

    Attributes:
        deps: what tools find as `ctx.deps`.
        settings: over the agent's.
        limits: instead of the agent's.
    """

    deps: Any
    settings: ModelSettings
    limits: Limits


class RunOptions(ResumeOptions, total=False):
    """Keyword arguments of `run`, `run_sync` and `stream`.

    Attributes:
        messages: the conversation so far: messages, or OpenAI's dicts.
        journal: where to write what happens; what it holds already is the conversation so far.
        parent_call_id: the call of another run that this one is part of.
    """

    messages: Iterable[Message | Mapping[str, Any]]
    journal: Journal
    parent_call_id: str | None


def check_options(method: str, options: Mapping[str, Any], known: Any) -> None:
    """A misspelled limit would be no limit. Raises UserError."""
    names = [n for base in (ResumeOptions, known) for n in base.__annotations__]
    for name in options:
        if name not in names:
            import difflib  # only here

            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(dict.fromkeys(names))}"
            raise UserError(f"{method}() has no option {name!r}{hint}")
    if not isinstance(options.get("limits", Limits()), Limits | None):
        raise UserError("limits= takes Limits(…)")
    if not isinstance(options.get("settings", ModelSettings()), ModelSettings):
        raise UserError("settings= takes ModelSettings(…)")
    if options.get("journal") is not None and not hasattr(options["journal"], "append"):
        raise UserError("journal= takes a Journal, such as MemoryJournal()")
    if isinstance(options.get("messages"), str):
        raise UserError("messages= takes a list of messages; the prompt is the first argument")


async def begin(run: Run, before: tuple[Message, ...], new: tuple[Message, ...]) -> None:
    """Records what a run begins with. Raises UserError where there is nothing to answer."""
    conversation = run.conversation
    while new and isinstance(result := new[0], ToolMessage):  # an answer from outside, as OpenAI's API takes it
        new = new[1:]
        if result.call_id in {c.id for c in conversation.unanswered}:
            await _finish(run, result)
        elif result.call_id in {c.id for m in before if isinstance(m, AssistantMessage) for c in m.tool_calls}:
            before = (*before, result)
        else:
            raise UserError(f"there is a result for the call {result.call_id!r}, which is not in the conversation")
    for call in conversation.unanswered if new else ():
        if call.id in conversation.pending:
            text = NO_RESULT if call.id in conversation.started else declined("the user went on without deciding")
            await _finish(run, ToolMessage(call.id, call.name, text, is_error=True))
    if before:
        await run.record(run.made(InputAdded, messages=before, new=False))
    if new:
        await run.record(run.made(InputAdded, messages=new))
    elif not run.messages:
        raise UserError("there is nothing to answer: pass a prompt, or messages")
    elif not before:  # the journal's last run is taken up as it stands
        run.run_id = conversation.run_id or run.run_id


async def _finish(run: Run, result: ToolMessage) -> None:
    """A result belongs to the run that made the call, hence that run's id."""
    run_id = run.conversation.run_id or run.run_id
    await run.record(CallFinished(run_id=run_id, parent_call_id=run.parent_call_id, result=result))


async def answer(run: Run, decisions: Mapping[str, bool | str], results: Mapping[str, Any]) -> None:
    """Records decisions and results from outside. Raises UserError for a call that is not open."""
    open_calls = {c.id: c for c in run.conversation.unanswered}
    for call_id in (*decisions, *results):
        if call_id not in open_calls:
            raise UserError(f"no call {call_id!r} waits; those that do: {', '.join(open_calls) or 'none'}")
    for call_id, decision in decisions.items():
        reason = decision if isinstance(decision, str) else ""
        await run.record(run.made(CallDecided, call_id=call_id, approved=decision is True, reason=reason))
    for call_id, value in results.items():
        given = value if isinstance(value, ToolResult) else ToolResult(to_content(value))
        content = capped(given.content, run.plan.dispatch.max_result_chars)
        result = ToolMessage(call_id, open_calls[call_id].name, content, given.is_error)
        await run.record(run.made(CallFinished, result=result))


def as_messages(prompt: Prompt) -> tuple[Message, ...]:
    """Raises UserError for what is no prompt."""
    if prompt is None:
        return ()
    single = isinstance(prompt, str | Text | Image | File | Mapping | UserMessage | AssistantMessage | SystemMessage | ToolMessage)
    several: Any = prompt
    parts: list[Any] = [prompt] if single or not hasattr(several, "__iter__") else list(several)
    if parts and all(isinstance(m, UserMessage | AssistantMessage | SystemMessage | ToolMessage) for m in parts):
        return tuple(parts)
    if parts and all(isinstance(m, Mapping) for m in parts):
        return carried(parts)
    if not parts or parts == [""] or not all(isinstance(p, str | Text | Image | File) for p in parts):
        raise UserError(f"{prompt!r:.80} is no prompt: pass text, images and files, or messages")
    return (UserMessage(parts),)


def _as_dict(message: Any) -> Any:
    """What the official client answers with, as the dict that it stands for."""
    return message.model_dump(exclude_none=True) if hasattr(message, "model_dump") else message


def carried(messages: Iterable[Message | Mapping[str, Any]]) -> tuple[Message, ...]:
    """Messages, or OpenAI's dicts, or what its client answers with."""
    given = tuple(_as_dict(m) for m in messages)
    if not any(isinstance(m, Mapping) for m in given):
        return given  # pyright: ignore[reportReturnType]
    from kimi_agent.message_json import from_openai

    if not all(isinstance(m, Mapping) for m in given):
        raise UserError("messages= holds both messages and dicts: turn the dicts into messages with from_openai(…)")
    return from_openai([dict(m) for m in cast(Iterable[Mapping[str, Any]], given)])
