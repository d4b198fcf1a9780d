"""YAML files of users read into models, with errors that name the file and the field."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ..engines.yaml_data import NotYAML, documents
from .errors import RenderError

__all__ = ["check", "load", "load_all"]

Model = TypeVar("Model", bound=BaseModel)


def load_all(name: str, text: str) -> list[dict[str, object]]:
    """The documents of a file, each a mapping; nothing but plain data is ever made of them.

    Raises:
        RenderError: it is no YAML, or PyYAML is not installed.
    """
    try:
        found = documents(text)
    except ModuleNotFoundError:
        raise RenderError("Reading YAML back needs PyYAML: pip install PyYAML") from None
    except NotYAML as problem:
        raise RenderError(f"{name} is no YAML: {problem}") from problem
    said = [document for document in found if document is not None]
    if wrong := [document for document in said if not isinstance(document, dict)]:
        raise RenderError(f"{name}: a document is {type(wrong[0]).__name__}, not a mapping.")
    return [document for document in said if isinstance(document, dict)]


def load(name: str, text: str, model: type[Model]) -> list[Model]:
    """Every document of a file as this model.

    Raises:
        RenderError: it is no YAML, it is empty, or a field is missing or of another type.
    """
    found = load_all(name, text)
    if not found:
        raise RenderError(f"{name} is empty.")
    return [check(name, document, model) for document in found]


def check(name: str, document: dict[str, object], model: type[Model]) -> Model:
    """One document as this model.

    Raises:
        RenderError: a field is missing or of another type.
    """
    try:
        return model.model_validate(document)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RenderError(f"{name}: {where}: {first['msg']}.") from problem
