"""An answer that came as text: the JSON value in it, and the choice that it fits."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from kimi_agent.output.choices import Choice
from kimi_agent.tooling.signature import InvalidArguments

_FENCED = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*)\n\s*```\s*", re.DOTALL)


def json_in(text: str) -> Any:
    """The one JSON value that a text is, bare or in one fence. Raises InvalidArguments, with a text for the model."""
    fenced = _FENCED.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, strict=False)
    except (ValueError, RecursionError) as e:
        raise InvalidArguments(f"The answer is not one JSON value ({e}).") from None


def fitting(choices: Sequence[Choice], value: Any) -> tuple[Choice, dict[str, Any]]:
    """The first choice that a JSON value fits, and the checked arguments of its tool. Raises InvalidArguments, with a text for the
    model that says of each choice why it does not."""
    named = {c.name: c for c in choices}
    inner = _unwrapped(value)
    if len(choices) > 1 and isinstance(inner, dict) and (kind := cast(dict[str, Any], inner).get("kind")) in named:
        choice = named[kind]
        return choice, choice.tool.validate(_arguments(choice, cast(dict[str, Any], inner).get("data")))
    problems: list[str] = []
    for choice in choices:
        try:
            return choice, choice.tool.validate(_arguments(choice, value))
        except InvalidArguments as e:
            problems.append(f"{choice.name}: {e}" if len(choices) > 1 else str(e))
    raise InvalidArguments("\n".join(problems))


def _unwrapped(value: Any) -> Any:
    found = cast(dict[str, Any], value) if isinstance(value, dict) else None
    return found["result"] if found is not None and list(found) == ["result"] else cast(Any, value)


def _arguments(choice: Choice, value: Any) -> dict[str, Any]:
    """A value that should be under a key and is not is put there."""
    if choice.wrapped:
        return {"result": _unwrapped(value)}
    if not isinstance(value, dict):
        raise InvalidArguments(f"a JSON object is wanted, not {type(value).__name__}")
    return cast(dict[str, Any], value)
