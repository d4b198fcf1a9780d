"""The embedded model: an instruct model on the CPU, in this process, with no key and no network.

Importing this package is cheap; the runtime is imported by `open_engine`.
"""

from __future__ import annotations

from .catalogue import ModelFile, cache_root, cached_path, catalogue, resolve_model
from .engine import Engine, open_engine
from .errors import EmbeddedError
from .fetch import fetch, obtain
from .runtime import available

__all__ = [
    "EmbeddedError",
    "Engine",
    "ModelFile",
    "available",
    "cache_root",
    "cached_path",
    "catalogue",
    "fetch",
    "obtain",
    "open_engine",
    "resolve_model",
]
