"""Packages that only some machines have: their tests are skipped by name there, and fail in CI."""

import importlib
import os
from types import ModuleType

import pytest


def needs(package: str) -> ModuleType:
    """The imported package. Skips the whole module where it is missing; with CI=true it raises instead.

    Raises:
        ModuleNotFoundError: it is missing and this is CI.
    """
    if os.environ.get("CI"):
        return importlib.import_module(package)
    return pytest.importorskip(package, reason=f"needs {package}: pip install 'kimi-agent[local]'")
