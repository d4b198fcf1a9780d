"""Answers in words: the user's own instructions, the conversation, and the data that the tools gave."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any, cast

from .arguments import leaves, plain
from .conversation import Call, Conversation, Turn
from .grammar import value_grammar
from .prompt import Segments
from .runtime import Piece, Runtime
from .schema import JsonObject, resolve, type_text

__all__ = ["answer", "supplement", "warm"]

SLOT = 1
DEFAULT_SYSTEM = "You are a helpful assistant. Answer briefly."
MAX_RESULT = 6000
MAX_SUPPLEMENT = 6
#: An answer without a limit of the caller's own ends here.
MAX_TOKENS = 1024

#: What every answer with tools begins with; the user's own instructions come after it.
_RULES = (
    "Where a request comes with data, the data is what the tools have already done or found for it. Answer in a short "
    "sentence or two, from the data only, and state its numbers, names and codes exactly. If it is an error, say so. "
    'Example: for "Extend loan L-17." with data renew_loan: {"due": "3 May", "receipt": 5521}, the answer is: '
    "Loan L-17 is extended, it is now due on 3 May (receipt 5521). "
    "Where a request comes without data, nothing was done or looked up for it: answer from the conversation and general "
    "knowledge, and say that you cannot do it here if it takes more.\n\n"
)
_ASK = "\n\nAnswer:"
_ASK_ZH = "\n\n用中文回答："


def warm(runtime: Runtime) -> None:
    """Compute or load the beginning that all answers of agents with tools share."""
    runtime.prepare(SLOT, Segments(runtime.tokenize).mark("<|im_start|>system\n").text(_RULES).ids)


def answer(runtime: Runtime, conversation: Conversation, cancelled: threading.Event) -> Iterator[Piece]:
    """Stream the answer to the last turn, in a slot of its own."""
    ids = _prompt(Segments(runtime.tokenize), conversation).ids
    body = conversation.body
    options: dict[str, Any] = {}
    for key in ("top_p", "seed", "stop", "presence_penalty", "frequency_penalty"):
        if body.get(key) is not None:
            options[key] = [body[key]] if key == "stop" and isinstance(body[key], str) else body[key]
    temperature = body.get("temperature")
    # Words about data are better without chance; a chat may have some.
    options["temperature"] = temperature if temperature is not None else (0 if conversation.now.calls else 0.3)
    schema = _format(body)
    if schema is not None:
        options["grammar"] = value_grammar(schema)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS
    return runtime.stream(ids, slot=SLOT, limit=int(limit), cancelled=cancelled, **options)


def supplement(conversation: Conversation, text: str) -> str:
    """What an answer left out of small results, in brackets; else an empty text.

    A model of this size answers "Is it too dry?" with a bare yes, and reports an order without its number. So a result
    of which the answer carries no value is added whole; of an order (a request that asks nothing), what identifies it.
    """
    if _format(conversation.body) is not None or not text.strip():
        return ""
    said = plain(text)
    now = conversation.now
    asks = any(mark in now.user for mark in "?？")
    parts: list[str] = []
    for call in now.steps[-1].calls if now.steps else []:  # earlier steps only looked things up for this one
        data = _small(call)
        if data and _carried(data, said):
            data = {k: v for k, v in data.items() if not asks and _identifies(k, v) and plain(str(v)) not in said}
        if data:
            members = ", ".join(f"{k}: {v}" for k, v in data.items())
            parts.append(f"{_label(call)}: {members}" if len(now.calls) > 1 else members)
    if not parts:
        return ""
    return f"（{'；'.join(parts)}）" if conversation.chinese else f" ({'; '.join(parts)})"


def _identifies(key: str, value: object) -> bool:
    """Whether a member looks like a reference: an id by its name, or a code by its letters and digits."""
    if re.search(r"(^|_)id$|Id$", key):
        return True
    return isinstance(value, str) and re.fullmatch(r"(?=.*[A-Za-z])(?=.*\d)[\w-]{4,40}", value) is not None


def _small(call: Call) -> JsonObject:
    """The scalar members of a small, flat result; empty for anything else."""
    try:
        value = json.loads(call.result or "")
    except ValueError:
        return {}
    if not isinstance(value, dict):
        return {}
    data = {k: v for k, v in cast(JsonObject, value).items() if not isinstance(v, bool) and v not in (None, "")}
    flat = all(isinstance(v, str | int | float) for v in data.values())
    return data if flat and len(data) <= MAX_SUPPLEMENT and not any("error" in k.casefold() for k in data) else {}


def _carried(data: JsonObject, said: str) -> bool:
    """Whether an answer holds a value; texts are not checked in other languages, where they may be translated."""
    return any(plain(str(v)) in said for v in data.values()) or all(isinstance(v, str) for v in data.values())


def _label(call: Call) -> str:
    values = [str(v) for v in leaves(json.loads(call.arguments))]
    return " ".join(values) or call.name


def _format(body: Any) -> JsonObject | None:
    """The schema that the text must fit: None for plain text, an empty one for any object."""
    wanted = cast(JsonObject, body.get("response_format") or {})
    if wanted.get("type") == "json_object":
        return {}
    if wanted.get("type") == "json_schema":
        return resolve(cast(JsonObject, wanted.get("json_schema") or {}).get("schema") or {})
    return None


def _prompt(segments: Segments, conversation: Conversation) -> Segments:
    rules = _RULES if conversation.tools and _format(conversation.body) is None else ""
    segments.message("system", rules, _system(conversation))
    for turn in conversation.turns[:-1]:
        segments.message("user", turn.user, _data(turn))
        segments.message("assistant", turn.answer or "")
    now = conversation.now
    data = _data(now)
    segments.message("user", now.user, data, _ask(conversation) if data else "")
    return segments.mark("<|im_start|>assistant\n")


def _system(conversation: Conversation) -> str:
    parts = [conversation.system or DEFAULT_SYSTEM]
    schema = _format(conversation.body)
    if schema is not None:
        parts.append(f"Answer with one JSON value: {type_text(schema) if schema else 'an object'}")
    return "\n\n".join(parts)


def _ask(conversation: Conversation) -> str:
    if _format(conversation.body) is not None:
        return ""
    return _ASK_ZH if conversation.chinese else _ASK


def _data(turn: Turn) -> str:
    lines = [f"{c.name}({c.arguments}): {(c.result or 'no result')[:MAX_RESULT]}" for c in turn.calls]
    return "\n\nData:\n" + "\n".join(lines) if lines else ""
