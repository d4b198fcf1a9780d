"""A model that is named now and looked up at the first request."""

from typing import Any, cast

from kimi_agent.errors import UserError
from kimi_agent.models.base import Model
from kimi_agent.models.resolve import resolve_model
from kimi_agent.redact import redact


class LazyModel:
    """A spec, or a `Model`, which is taken as it is. Keys and the like are looked for when `model` is first asked for."""

    def __init__(self, spec: str | Model) -> None:
        """Raises UserError for what is neither."""
        given = cast(Any, spec)  # callers may not check types
        if not isinstance(given, str | Model):
            raise UserError(f"a model is a name or a Model, not {type(given).__name__}")
        self._spec = spec
        self._model: Model | None = None if isinstance(spec, str) else spec

    @property
    def model(self) -> Model:
        """The model itself. Raises UserError where it cannot be had."""
        if self._model is None:
            self._model = resolve_model(self._spec)
        return self._model

    @property
    def name(self) -> str:
        """The model's name; until it is looked up, or where it has none yet, the spec without credentials."""
        known = self._model.name if self._model is not None else ""
        return known or (redact(self._spec) if isinstance(self._spec, str) else "")
