"""Specs that come with the package, for planning before there is a checkpoint; `data/` says which fields nobody checked."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .architecture import SpecError
from .model import ModelSpec, from_config, read_model

__all__ = ["SHIPPED", "find_model", "repository_of", "shipped_model"]

SHIPPED = ("kimi-k2-0711", "kimi-k2-0905", "kimi-k2-thinking", "kimi-k2.5")


class _Shipped(BaseModel):
    """A file of `data/`."""

    repository: str
    thinking: bool
    unverified: dict[str, str]
    config: dict[str, Any]


@cache
def shipped_model(name: str) -> ModelSpec:
    """The shipped spec of this name.

    Raises:
        SpecError: there is none.
    """
    if name not in SHIPPED:
        raise SpecError(f"no model named {name!r}; known are {', '.join(SHIPPED)}, or the folder of a checkpoint")
    found = _data(name)
    return from_config(name, found.config, thinking=found.thinking, unverified=found.unverified)


def repository_of(name: str) -> str | None:
    """Where a shipped model is published (owner/name on Hugging Face); None for a checkpoint of one's own."""
    return _data(name).repository if name in SHIPPED else None


def find_model(name_or_path: str, *, thinking: bool | None = None) -> ModelSpec:
    """A shipped spec by name, or that of the checkpoint (folder or config.json) at a path.

    Raises:
        SpecError: neither is there, the file is no K2-like model's, or a shipped one is known to think otherwise.
    """
    if name_or_path in SHIPPED:
        return _as_published(shipped_model(name_or_path), thinking)
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError as error:
        raise SpecError(f"{name_or_path!r}: {error}") from error
    return read_model(path, thinking=thinking) if name_or_path and path.exists() else shipped_model(name_or_path)


def _as_published(model: ModelSpec, thinking: bool | None) -> ModelSpec:
    if thinking not in (None, model.thinking):
        told = "thinks" if model.thinking else "does not think"
        raise SpecError(f"{model.name} {told}; --thinking and --no-thinking are for a checkpoint of your own: name its folder")
    return model


@cache
def _data(name: str) -> _Shipped:
    return _Shipped.model_validate_json((files("kimi_backend.specs") / "data" / f"{name}.json").read_text(encoding="utf-8"))
