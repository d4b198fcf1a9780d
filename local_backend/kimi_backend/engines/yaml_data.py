"""YAML of strangers as plain data."""

from __future__ import annotations

__all__ = ["NotYAML", "documents"]


class NotYAML(ValueError):
    """A text that is no YAML; why, in one line."""


def documents(text: str) -> list[object]:
    """The documents of a text. Nothing but mappings, lists and plain values is ever made of them.

    Raises:
        NotYAML: it is none, it is nested too deep, or it has a value that cannot be, such as the 99th of a month.
        ModuleNotFoundError: PyYAML is not installed.
    """
    import yaml

    try:
        return list(yaml.safe_load_all(text))
    except RecursionError:
        raise NotYAML("it is nested too deep") from None
    # PyYAML lets through what its makers of dates, numbers and truths raise at values that are none.
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as problem:
        raise NotYAML(" ".join(str(problem).split()) or type(problem).__name__) from problem
