"""Healing at the loop's side: which stage a turn's parts go through, and what becomes of arguments that are almost right."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from kimi_agent.history import Conversation
from kimi_agent.messages import AssistantMessage, ToolCall, ToolMessage, UserMessage
from kimi_agent.run import AnyTool, Run
from kimi_agent.tooling.arguments import repaired
from kimi_agent.wire.healing import Healer
from kimi_agent.wire.healing.echoes import is_echo
from kimi_agent.wire.healing.names import Names
from kimi_agent.wire.identity_cache import IdentityCache
from kimi_agent.wire.tool_names import names_back

_answers_plainly: IdentityCache[bool] = IdentityCache()  # by model


def healing_of(run: Run, offered: Mapping[str, AnyTool], known: Mapping[str, AnyTool]) -> Healer:
    """The stage that the parts of one turn go through: `offered` are the tools that the model was told of, `known` all that it may
    call."""
    profile, healing = run.plan.model.profile, run.plan.healing
    names = Names(
        offered, partial(names_back, offered, profile), partial(_is_echo, run.conversation), partial(names_back, known, profile)
    )
    unmarked = profile.unmarked_thoughts and profile.thinks(run.plan.settings) and not _answers_plainly.get(run.plan.model)
    return Healer(names, leaks=healing.leaks, unmarked_thoughts=unmarked)


def learn_from(run: Run, message: AssistantMessage) -> None:
    """An endpoint that once gave an answer without any thoughts, marked or not, keeps them to itself: then its answers need not be
    held back for a `</think>` any more."""
    if message.text and message.reasoning is None and run.plan.model.profile.unmarked_thoughts:
        with suppress(TypeError):  # a model of one's own that cannot be weakly referenced
            _answers_plainly.put(run.plan.model, True)


def _is_echo(conversation: Conversation, name: str, arguments: str) -> bool:
    """Whether a user or a tool has written such a call."""
    return is_echo((m.text for m in conversation.history if isinstance(m, UserMessage | ToolMessage)), name, arguments)


def mending_of(run: Run, tools: Mapping[str, AnyTool]) -> Callable[[ToolCall], ToolCall]:
    """What each complete call goes through."""
    return partial(_mended, tools) if run.plan.healing.arguments else _left


def _mended(tools: Mapping[str, AnyTool], call: ToolCall) -> ToolCall:
    """The call; where its arguments are not what the tool takes but stand for it, with that too."""
    tool = tools.get(call.name)
    if tool is None or not tool.usable:
        return call
    better = repaired(tool, call.arguments)
    return call if better is None else replace(call, repaired=better)


def _left(call: ToolCall) -> ToolCall:
    return call
