"""Shared by all tests: asyncio only, no keys from the developer's environment."""

import os

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches an endpoint that the developer happens to have a key for."""
    for name in [n for n in os.environ if n.startswith(("MOONSHOT_", "KIMI_", "OPENAI_", "ANTHROPIC_"))]:
        if name != "KIMI_AGENT_CACHE":
            monkeypatch.delenv(name)
