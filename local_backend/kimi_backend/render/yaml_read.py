"""YAML files of users read into models, with errors that name the file and the field."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import RenderError

__all__ = ["check", "load", "load_all"]

Model = TypeVar("Model", bound=BaseModel)


def load_all(name: str, text: str) -> list[dict[str, object]]:
    """The documents of a file, each a mapping; nothing but plain data is ever made of them.

    Raises:
        RenderError: it is no YAML, or PyYAML is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise RenderError("Reading YAML back needs PyYAML: pip install PyYAML") from None
    try:
        found: list[object] = list(yaml.safe_load_all(text))
    except yaml.YAMLError as problem:
        raise RenderError(f"{name} is no YAML: {' '.join(str(problem).split())}") from problem
    documents = [document for document in found if document is not None]
    if wrong := [document for document in documents if not isinstance(document, dict)]:
        raise RenderError(f"{name}: a document is {type(wrong[0]).__name__}, not a mapping.")
    return [document for document in documents if isinstance(document, dict)]


def load(name: str, text: str, model: type[Model]) -> list[Model]:
    """Every document of a file as this model.

    Raises:
        RenderError: it is no YAML, it is empty, or a field is missing or of another type.
    """
    documents = load_all(name, text)
    if not documents:
        raise RenderError(f"{name} is empty.")
    return [check(name, document, model) for document in documents]


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
