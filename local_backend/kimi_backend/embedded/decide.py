"""Which tools to call, with which arguments: a gate, a name, an object, and again."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from .arguments import finish, invented, unsaid
from .conversation import Call, Conversation, Tool
from .grammar import call_grammar, one_of
from .prompt import OPEN, REPLY, WAIT, Segments, call_head, call_line, conversation_segments, prefix_segments, tool_segments
from .runtime import Completion, Runtime
from .schema import compact, split_keys

__all__ = ["Decider", "Usage", "gate"]

SLOT = 0
MAX_CALLS = 8
ARGUMENT_TOKENS = 700
#: The gate is log(P(a tool) / P(reply)). Developed on tasks of our own; see docs/embedded.md.
CALL_ABOVE = 3.5
#: The same once there are results in the turn: what was begun may go on.
GO_ON_ABOVE = 1.5
MORE_ABOVE = -0.2
#: The same where the call's required values rest on nothing that was said: it takes a tool that fits beyond doubt.
UNSAID_ABOVE = 6.0
#: A tool may provide what the chosen one lacks when it is at most this much less likely (log-odds).
OTHER_WITHIN = 4.0


class Decider:
    """Asks the model for calls, in a slot of its own. `usage` counts the request under way."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.usage = Usage()
        self.score = 0.0
        self.top: list[tuple[str, float]] = []
        self.trace: list[tuple[str, float]] = []

    def warm(self) -> None:
        """Compute the fixed beginning, or load it: seconds against milliseconds."""
        self.runtime.prepare(SLOT, prefix_segments(Segments(self.runtime.tokenize)).ids)

    def calls(self, conversation: Conversation, cancelled: threading.Event) -> Iterator[Call]:
        """Yield the calls of the next step, none when an answer in words is due. Every call fits its schema."""
        self.usage, self.trace = Usage(), []
        segments = prefix_segments(Segments(self.runtime.tokenize))
        ids = conversation_segments(tool_segments(segments, conversation), conversation)
        spoken = _spoken(conversation)
        made = {_key(c) for c in conversation.now.calls}
        for count in range(MAX_CALLS):
            must = count == 0 and conversation.choice not in ("auto", "none")
            tools = conversation.tools
            end, above = (WAIT, MORE_ABOVE) if count else (REPLY, GO_ON_ABOVE if conversation.now.steps else CALL_ABOVE)
            call = self._call(ids.ids, tools, conversation.choice, end, above, must, spoken, cancelled)
            if call is None or cancelled.is_set() or (_key(call) in made and not must):
                return
            made.add(_key(call))
            yield call
            if not conversation.parallel:
                return
            ids.text(call_line(call)).text("\n")

    def _call(
        self,
        ids: list[int],
        tools: list[Tool],
        choice: str,
        end: str,
        above: float,
        must: bool,
        spoken: str,
        cancelled: threading.Event,
    ) -> Call | None:
        """The next call, or None for `end`.

        A number that nobody has said belongs to a result that is not there yet: a later call has to wait for it, and
        before a first one another tool, if it is nearly as likely, may be what gives it.
        """
        if must and choice != "required":
            name: str | None = choice
        else:
            name = self._name(ids, [t.name for t in tools], end, must, above, cancelled)
        tool = next((t for t in tools if t.name == name), None)
        if tool is None or cancelled.is_set():
            return None
        arguments = self._arguments(ids, tool, spoken, cancelled)
        if arguments is None:
            return None
        if must:
            return Call(tool.name, arguments)
        if end == REPLY and self.score < UNSAID_ABOVE and unsaid(arguments, tool.schema, spoken):
            return None
        if not invented(arguments, spoken):
            return Call(tool.name, arguments)
        if end == WAIT:
            return None
        others = [t.name for t in tools if t is not tool and gate(self.top, [tool.name], t.name) < OTHER_WITHIN]
        other = self._name(ids, others, end, False, 0.0, cancelled) if others else None
        if other is not None:
            instead = self._arguments(ids, next(t for t in tools if t.name == other), spoken, cancelled)
            if instead is not None and not invented(instead, spoken):
                return Call(other, instead)
        return Call(tool.name, arguments)

    def _name(self, ids: list[int], names: list[str], end: str, must: bool, above: float, cancelled: threading.Event) -> str | None:
        """The tool to call next, or None for `end`."""
        head = [*ids, *self.runtime.tokenize(OPEN)]
        done = self._ask(head, cancelled, 1, grammar=_names([] if must else [end], names), n_probs=40)
        score = gate(done.top[0] if done.top else [], names, end)
        self.score, self.top = score, done.top[0] if done.top else []
        self.trace.append((end, round(score, 2)))
        if not must and score < above:
            return None
        start = "" if end.startswith(done.text) else done.text
        left = [n for n in names if f'{n}"'.startswith(start)]
        if len(left) > 1:
            whole = self._ask(head, cancelled, 48, grammar=_names([], left)).text
            left = [n for n in left if f'{n}"' == whole]
        return left[0] if left else None

    def _arguments(self, ids: list[int], tool: Tool, spoken: str, cancelled: threading.Event) -> str | None:
        """A valid arguments object as JSON text; a second attempt has short texts and lists, so that it closes."""
        required, _ = split_keys(tool.schema)
        lead = f" {{{compact(required[0])}:" if required else ""
        head = [*ids, *self.runtime.tokenize(call_head(tool.name) + lead)]
        for short in (False, True):
            grammar = call_grammar(tool.schema, lead=lead, short=short)
            done = self._ask(head, cancelled, ARGUMENT_TOKENS, grammar=grammar, n_probs=8)
            arguments = finish(done, tool.schema, spoken, lead)
            if arguments is not None or cancelled.is_set():
                return arguments
        return None

    def _ask(self, ids: list[int], cancelled: threading.Event, limit: int, **options: Any) -> Completion:
        done = self.runtime.complete(ids, slot=SLOT, limit=limit, cancelled=cancelled, temperature=0, **options)
        self.usage.add(done)
        return done


class Usage:
    """Token counts of one request: the longest prompt, what of it was cached at first, all that was generated."""

    def __init__(self) -> None:
        self.prompt, self.cached, self.completion = 0, -1, 0

    def add(self, done: Completion) -> None:
        self.prompt = max(self.prompt, done.prompt_tokens)
        self.cached = done.cached_tokens if self.cached < 0 else self.cached
        self.completion += done.completion_tokens


def gate(top: list[tuple[str, float]], names: list[str], end: str = REPLY) -> float:
    """log(P(first token of a tool name) / P(first token of `end`)), within ±20."""
    call = _sum(p for t, p in top if t and any(n.startswith(t) or t.startswith(n) for n in names))
    stop = _sum(p for t, p in top if t and (end.startswith(t) or t.startswith(end)))
    return max(-20.0, min(20.0, call - stop))


def _names(ends: list[str], names: list[str]) -> str:
    return one_of([f'{name}"' for name in [*ends, *names]])


def _sum(values: Iterable[float]) -> float:
    total = sum(math.exp(v) for v in values)
    return math.log(total) if total > 0 else -20.0


def _spoken(conversation: Conversation) -> str:
    texts = [conversation.system]
    for turn in conversation.turns:
        texts += [turn.user, turn.answer or "", *(f"{c.arguments} {c.result or ''}" for c in turn.calls)]
    return "\n".join(texts)


def _key(call: Call) -> tuple[str, str]:
    """What makes two calls the same."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except ValueError:
        return call.name, call.arguments
