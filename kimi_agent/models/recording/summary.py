"""A request as a cassette holds it: what the model is shown, so that it can be read, compared and told apart.

`messages` are OpenAI's dicts, `tools` name, description and parameters, `settings` what was set. Left out are headers, keys, the
extra body, time-outs, and what differs from run to run.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, cast

from kimi_agent.message_json import to_openai
from kimi_agent.models.base import ModelRequest
from kimi_agent.models.recording.json_secrets import Mask, mask_value
from kimi_agent.models.recording.masking import ANYTHING, RunNames, short_data
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.open_json import Json, as_list, as_object

_NOT_SHOWN = frozenset(
    {"extra_body", "extra_headers", "timeouts", "stream"}
)  # the model does not see them; the first two are secret
_MOST_LINES, _WIDTH = 60, 120


def summary_of(request: ModelRequest, mask: Mask) -> Json:
    """The summary of a request. The mask's sign is to be `ANYTHING`."""
    names = RunNames()
    messages = to_openai(request.messages)
    for message in messages:
        if "tool_call_id" in message:
            message["tool_call_id"] = names.of_call(message["tool_call_id"])
        for call in message.get("tool_calls", ()):
            call["id"] = names.of_call(call["id"])
    summary: Json = {"messages": messages}
    if request.tools:
        tools = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in request.tools]
        summary["tools"] = tools
    if settings := _settings(request.settings):
        summary["settings"] = settings
    return mask_value(_plain(summary), Mask(lambda text: mask(names.in_text(short_data(text))), mask.sign))


def _settings(settings: ModelSettings) -> Json:
    told = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _NOT_SHOWN}
    return {name: value for name, value in told.items() if value is not None}


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in cast(list[Any], value)]
    return value


def fits(recorded: Any, asked: Any) -> bool:
    """Whether two summaries are the same request. Where the recorded one is masked, anything may stand: the key that was
    masked then need not be known now."""
    if isinstance(recorded, str) and isinstance(asked, str):
        return recorded == asked or (ANYTHING in recorded and _fits_masked(recorded, asked))
    one, other = as_object(recorded), as_object(asked)
    if one is not None and other is not None:
        return one.keys() == other.keys() and all(fits(one[k], other[k]) for k in one)
    if isinstance(recorded, list) and isinstance(asked, list):
        first, second = as_list(recorded), as_list(asked)
        return len(first) == len(second) and all(map(fits, first, second))
    return bool(recorded == asked)


def _fits_masked(masked: str, asked: str) -> bool:
    """Piece by piece from the left, which takes linear time: a regular expression would try all ways to split the text."""
    first, *between, last = masked.split(ANYTHING)
    if len(asked) < len(first) + len(last) or not (asked.startswith(first) and asked.endswith(last)):
        return False
    at, end = len(first), len(asked) - len(last)
    for piece in between:
        at = asked.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def likeness(recorded: Json, asked: Json) -> int:
    """How many leading messages are the same: by it the recorded request that was meant is found."""
    count = 0
    for one, other in zip(as_list(recorded.get("messages")), as_list(asked.get("messages")), strict=False):
        if not fits(one, other):
            break
        count += 1
    return count


def difference(recorded: Json, asked: Json) -> str:
    """A diff for people: a line a field, `-` as recorded, `+` as asked now."""
    lines = list(
        difflib.unified_diff(list(_lines("", recorded)), list(_lines("", asked)), "recorded", "asked now", n=1, lineterm="")
    )
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES:] = [f"… and {len(lines) - _MOST_LINES} lines more"]
    return "\n".join(lines)


def _lines(path: str, value: Any) -> Iterator[str]:
    if fields_of := as_object(value):
        for key, inner in fields_of.items():
            yield from _lines(f"{path}.{key}" if path else key, inner)
    elif items := as_list(value):
        for i, inner in enumerate(items):
            yield from _lines(f"{path}[{i}]", inner)
    else:
        said = value if isinstance(value, str) else json.dumps(value)
        pieces = [line[at : at + _WIDTH] for line in said.split("\n") for at in range(0, len(line) or 1, _WIDTH)]
        yield f"{path}: {pieces[0]}"
        yield from (f"    {piece}" for piece in pieces[1:])
