"""The door: `__all__` and what is there agree, and importing it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kimi_agent

SLOW = (
    "aiohttp", "griffe", "jsonschema", "openai", "anthropic", "httpx", "httpx2", "mcp", "torch", "ray", "rich", "typer",
    "xllamacpp", "pydantic.type_adapter",
)  # fmt: skip


def imported_names() -> set[str]:
    tree = ast.parse(Path(kimi_agent.__file__ or "").read_text(encoding="utf-8"))
    ours = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and str(n.module).startswith("kimi_agent")]
    return {a.asname or a.name for node in ours for a in node.names}


def test_all_is_sorted_and_is_exactly_what_the_door_imports() -> None:
    assert kimi_agent.__all__ == sorted(kimi_agent.__all__)
    assert set(kimi_agent.__all__) == imported_names()


@pytest.mark.parametrize("name", kimi_agent.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(kimi_agent, name)
    if isinstance(value, type) or callable(value):
        assert value.__doc__, f"{name} has no docstring"


def test_importing_the_door_imports_nothing_slow() -> None:
    code = "import sys, kimi_agent; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [m for m in loaded if m in SLOW or m.startswith(tuple(f"{s}." for s in SLOW))]


def test_the_library_is_silent_by_default() -> None:
    code = "import kimi_agent; kimi_agent.Agent(kimi_agent.ScriptedModel(['Hi'])).run_sync('x')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
