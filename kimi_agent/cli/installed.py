"""What the installed engine package says of the embedded model."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


def embedded_backend() -> Any | None:
    """The package behind the engine `embedded`, or None. Importing it is cheap; the runtime is not imported."""
    entry = next(iter(entry_points(group="kimi_agent.engines", name="embedded")), None)
    return None if entry is None else import_module(entry.module)


def embedded_tiers() -> list[tuple[str, str]]:
    """Each tier, and whether its file is there."""
    backend = embedded_backend()
    if backend is None:
        return [("embedded", "not installed: pip install 'kimi-agent[embedded]'")]
    if problem := backend.available():
        return [("embedded", problem)]
    rows: list[tuple[str, str]] = []
    for tier, model in backend.catalogue.items():
        path = backend.cached_path(tier)
        fetch = f"not fetched yet ({model.size / 1e9:.1f} GB; kimi-backend fetch --model {tier})"
        rows.append((f"embedded, {tier}", f"in the cache: {path}" if path else fetch))
    return rows
