"""Rooms whose tests are all slow: importing torch and transformers takes seconds, so the fast tests do not even collect them."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = (HERE / "model", HERE / "tiny")


def _is_slow(path: Path) -> bool:
    return any(path.is_relative_to(room) for room in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if _is_slow(collection_path) and "not slow" in config.option.markexpr else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_slow(item.path):
            item.add_marker(pytest.mark.slow)
