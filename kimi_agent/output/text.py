"""An answer that came as text: the JSON value in it, and the choice that it fits."""

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from kimi_agent.output.choices import Choice
from kimi_agent.tooling.execute import DECODER
from kimi_agent.tooling.signature import InvalidArguments

_FENCED = re.compile(r"\s*```(?:json|JSON)?[ \t]*\r?\n(.*)\r?\n\s*```\s*", re.DOTALL)


def answer_in(choices: Sequence[Choice], text: str) -> tuple[Choice, str]:
    """The choice that a text fits, and the arguments of its tool, as JSON: the text is one JSON value, bare or in one fence, or the
    bare word that a scalar is. Raises InvalidArguments, with a text for the model."""
    try:
        value = _json_in(text)
    except InvalidArguments as e:
        bare = [c for c in choices if c.wrapped]
        if not bare:
            raise
        try:
            return _fitting(bare, text.strip())
        except InvalidArguments:
            raise e from None
    return _fitting(choices, value)


def _json_in(text: str) -> Any:
    fenced = _FENCED.fullmatch(text)
    try:
        return DECODER.decode((fenced[1] if fenced else text).strip().removeprefix("\ufeff"))
    except (ValueError, RecursionError) as e:
        raise InvalidArguments(f"The answer is not one JSON value ({e}).") from None


def _fitting(choices: Sequence[Choice], value: Any) -> tuple[Choice, str]:
    """Of several that fit the first that knows all the keys. Raises InvalidArguments that says of each why it does not fit."""
    named = _named(choices, value)
    if named is not None:
        choice, data = named
        arguments = _arguments(choice, data)
        choice.checked(arguments)
        return choice, arguments
    fits: list[tuple[Choice, str]] = []
    problems: list[str] = []
    for choice in choices:
        try:
            arguments = _arguments(choice, value)
            choice.checked(arguments)
            fits.append((choice, arguments))
        except InvalidArguments as e:
            problems.append(f"{choice.name}: {e}" if len(choices) > 1 else str(e))
    if not fits:
        raise InvalidArguments("\n".join(problems))
    return next((f for f in fits if _knows_all(f[0], value)), fits[0])


def _named(choices: Sequence[Choice], value: Any) -> tuple[Choice, Any] | None:
    """`{"kind": name, "data": …}`, as the schema of several choices has it, also without the key around it."""
    inner = _unwrapped(value)
    if len(choices) < 2 or not isinstance(inner, dict):
        return None
    found = cast(dict[str, Any], inner)
    choice = next((c for c in choices if c.name == found.get("kind")), None)
    return None if choice is None or found.keys() != {"kind", "data"} else (choice, found["data"])


def _knows_all(choice: Choice, value: Any) -> bool:
    known: dict[str, Any] = choice.tool.parameters.get("properties", {})
    return choice.wrapped or not isinstance(value, dict) or known.keys() >= cast(dict[str, Any], value).keys()


def _unwrapped(value: Any) -> Any:
    found = cast(dict[str, Any], value) if isinstance(value, dict) else None
    return found["result"] if found is not None and list(found) == ["result"] else cast(Any, value)


def _arguments(choice: Choice, value: Any) -> str:
    """A value that should be under a key and is not is put there."""
    if choice.wrapped:
        return json.dumps({"result": _unwrapped(value)}, ensure_ascii=False)
    if not isinstance(value, dict):
        raise InvalidArguments(f"a JSON object is wanted, not {type(value).__name__}")
    return json.dumps(value, ensure_ascii=False)
