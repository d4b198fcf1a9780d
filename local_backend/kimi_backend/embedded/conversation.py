"""An OpenAI chat-completions body, read into the shape that the prompts are made from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .errors import EmbeddedError
from .schema import JsonObject, resolve

__all__ = ["Call", "Conversation", "Step", "Tool", "Turn", "read"]

_CJK = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `schema` is resolved (see `schema.resolve`)."""

    name: str
    description: str
    schema: JsonObject


@dataclass(slots=True)
class Call:
    """A call of an earlier step. `arguments` is JSON text; `result` is None while it has not been answered."""

    name: str
    arguments: str
    id: str = ""
    result: str | None = None


@dataclass(slots=True)
class Step:
    """One assistant message with calls, and the words that came with them."""

    calls: list[Call]
    text: str = ""


@dataclass(slots=True)
class Turn:
    """What a user said, what was called for it, and what was answered (None for the turn under way)."""

    user: str
    steps: list[Step] = field(default_factory=list[Step])
    answer: str | None = None

    @property
    def calls(self) -> list[Call]:
        """Every call of this turn, in order."""
        return [call for step in self.steps for call in step.calls]


@dataclass(slots=True)
class Conversation:
    """A request. `choice` is `auto`, `none`, `required`, or the name of a tool."""

    system: str
    turns: list[Turn]
    tools: list[Tool]
    choice: str
    parallel: bool
    body: Mapping[str, Any]

    @property
    def now(self) -> Turn:
        """The turn to go on with."""
        return self.turns[-1]

    @property
    def chinese(self) -> bool:
        """Whether the last request is written in Chinese."""
        return bool(_CJK.search(self.now.user))


def read(body: Mapping[str, Any]) -> Conversation:
    """Parse and check a body.

    Raises:
        EmbeddedError: code `invalid_request`, naming the field that is wrong or not supported.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages must be a list with at least one message")
    if body.get("n") not in (None, 1):
        raise _wrong("the embedded model gives one choice per request: leave out n")
    system, turns = _turns([cast(JsonObject, m) for m in cast("list[Any]", messages) if isinstance(m, dict)])
    tools = _tools(body.get("tools"))
    choice = _choice(body.get("tool_choice"), tools)
    return Conversation(system, turns, tools, choice, body.get("parallel_tool_calls") is not False, body)


def _turns(messages: list[JsonObject]) -> tuple[str, list[Turn]]:
    system: list[str] = []
    turns: list[Turn] = []
    for message in messages:
        role = message.get("role")
        text = _text(message.get("content"))
        if role in ("system", "developer"):
            system.append(text)
        elif role == "user":
            fresh = not turns or turns[-1].steps or turns[-1].answer is not None
            if fresh:
                turns.append(Turn(text))
            else:  # two user messages in a row are one request
                turns[-1].user = f"{turns[-1].user}\n{text}".strip()
        elif role == "assistant":
            _assistant(turns, message, text)
        elif role == "tool":
            _result(turns, str(message.get("tool_call_id", "")), text)
        else:
            raise _wrong(f"unknown message role {role!r}")
    if not turns:
        turns.append(Turn(""))
    elif turns[-1].answer is not None:
        turns.append(Turn(""))  # the history ends with the assistant: go on from there
    return "\n\n".join(filter(None, system)), turns


def _assistant(turns: list[Turn], message: JsonObject, text: str) -> None:
    if not turns or turns[-1].answer is not None:
        turns.append(Turn(""))
    calls = [
        Call(str(c["function"].get("name", "")), str(c["function"].get("arguments") or "{}"), str(c.get("id", "")))
        for c in cast("list[JsonObject]", message.get("tool_calls") or [])
        if isinstance(c.get("function"), dict)
    ]
    if calls:
        turns[-1].steps.append(Step(calls, text))
    else:
        turns[-1].answer = text


def _result(turns: list[Turn], call_id: str, text: str) -> None:
    waiting = [call for turn in turns for call in turn.calls if call.result is None]
    for call in waiting:
        if call.id == call_id:
            call.result = text
            return
    if not waiting:
        raise _wrong(f"the tool message {call_id!r} answers no call of the conversation")
    waiting[0].result = text


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _wrong("content must be text or a list of text parts")
    out: list[str] = []
    for part in cast("list[JsonObject]", content):
        if part.get("type") not in ("text", "input_text", "refusal"):
            raise _wrong(f"the embedded model reads text only, not {part.get('type')!r} parts")
        out.append(str(part.get("text") or part.get("refusal") or ""))
    return "".join(out)


def _tools(tools: object) -> list[Tool]:
    out: list[Tool] = []
    for entry in cast("list[JsonObject]", tools or []):
        function = cast(JsonObject, entry.get("function") or {})
        if entry.get("type", "function") != "function" or not function.get("name"):
            raise _wrong("every tool must be of type function and have a name")
        schema = resolve(function.get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False})
        out.append(Tool(str(function["name"]), str(function.get("description") or ""), schema))
    return out


def _choice(choice: object, tools: list[Tool]) -> str:
    if choice is None:
        return "auto"
    if isinstance(choice, dict):
        function = cast(JsonObject, cast(JsonObject, choice).get("function") or {})
        name = str(function.get("name", ""))
        if name not in [tool.name for tool in tools]:
            raise _wrong(f"tool_choice names {name!r}, which is not among the tools")
        return name
    if choice not in ("auto", "none", "required"):
        raise _wrong(f"tool_choice must be auto, none, required or a function, not {json.dumps(choice)}")
    if choice == "required" and not tools:
        raise _wrong("tool_choice is required but there are no tools")
    return str(choice)


def _wrong(message: str) -> EmbeddedError:
    return EmbeddedError(message, code="invalid_request")
