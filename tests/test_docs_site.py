"""The documentation site: it builds without a warning, loads nothing from elsewhere, and has every public name."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOADS = re.compile(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")


def referenced() -> set[str]:
    """The names that the pages of the reference ask mkdocstrings for."""
    pages = (ROOT / "docs" / "reference").rglob("*.md")
    return {name for page in pages for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def named(path: str) -> object:
    """What stands at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", ["kimi_agent", "kimi_agent.testing", "kimi_tools"])
def test_every_public_name_is_in_the_reference(package: str) -> None:
    shown = [named(path) for path in referenced() if not path.startswith("kimi_backend.")]  # some of those need torch
    public = [f"{package}.{name}" for name in importlib.import_module(package).__all__]
    missing = [path for path in public if not any(named(path) is each for each in shown)]
    assert not missing, "put these into a page of docs/reference, as `::: name`"


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    sources = sorted((ROOT / "docs").rglob("*.md"))
    assert len(pages) == len(sources) + 1  # and 404.html
    for page in pages:
        assert not LOADS.findall(page.read_text(encoding="utf-8")), page.name
    for sheet in tmp_path.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()[^;)]*//", sheet.read_text(encoding="utf-8").replace("data:", "")), sheet.name
    missing = {name for name in referenced() if f'id="{name}"' not in "".join(p.read_text(encoding="utf-8") for p in pages)}
    assert not missing, "these have no docstring, or no entry"
    assert "(<code>" in (tmp_path / "reference" / "agent.html").read_text(encoding="utf-8")  # attributes of docstrings are a list
