"""The context window, as `GET /models` tells it."""

from typing import Any

from kimi_agent.wire.open_json import Json, as_count, as_list, as_object

# Moonshot, OpenRouter: context_length; vLLM, SGLang: max_model_len; others: context_window, max_context_length;
# llama.cpp: meta.n_ctx
_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")


def models_in(value: Any) -> list[Json]:
    """The models that an answer of `GET /models` tells."""
    body = as_object(value)
    return [e for v in as_list(body.get("data") if body is not None else value) if (e := as_object(v)) is not None]


def window_in(value: Any, model: str) -> int | None:
    """Tokens of `model`'s context in an answer of `GET /models`; of the only model there, if it goes by another name."""
    entries = models_in(value)
    named = [e for e in entries if e.get("id") == model]
    if not named and len(entries) == 1:
        named = entries
    return _window_of(named[0]) if named else None


def _window_of(entry: Json) -> int | None:
    for holder in (entry, as_object(entry.get("meta")) or {}):
        for name in _NAMES:
            if tokens := as_count(holder.get(name)):
                return tokens
    return None
