"""A typed answer as the JSON-able data that a journal keeps, and back."""

import json
from dataclasses import dataclass
from typing import Any

from kimi_agent.tooling.signature import adapter_for


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal can keep of an answer.

    Attributes:
        data: JSON-able.
        whole: whether the data give an equal value again; not so for what JSON cannot carry, and for types that leave something
            out when they are written.
    """

    data: Any
    whole: bool


def kept(kind: Any, value: Any) -> Kept:
    """Never raises: an answer that was given counts, whether it can be written down or not."""
    try:
        data = _dumped(kind, value)
    except Exception as e:  # the type's own serializers may do anything
        return Kept(f"<{type(value).__name__}: {type(e).__name__}>", False)
    try:
        again = loaded(kind, data)
        return Kept(data, type(again) is type(value) and bool(again == value))
    except Exception:
        return Kept(data, False)


def loaded(kind: Any, data: Any) -> Any:
    """The value. Raises ValueError where the data do not fit the type."""
    return data if kind is Any else adapter_for(kind)[0].validate_json(json.dumps(data))


def _dumped(kind: Any, value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    if kind is Any:
        return to_jsonable_python(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64")
    return adapter_for(kind)[0].dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
