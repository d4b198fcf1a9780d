"""Files reach a folder whole, and never over others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kimi_backend.render import Rendered, RenderError, render, write
from render_plans import PLANS, site_of


def test_scripts_can_be_run_and_the_rest_cannot(tmp_path: Path) -> None:
    rendered = render(PLANS["tensorrt-llm-one-node"], site_of("tensorrt-llm-one-node"), "commands")
    paths = write(rendered, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["node0.sh", "trtllm.yaml"]
    assert [os.access(path, os.X_OK) for path in paths] == [True, False]
    assert [path.read_text(encoding="utf-8") for path in paths] == list(rendered.files.values())


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    rendered = Rendered(files={"a": "1", "b": "2"})
    with pytest.raises(RenderError, match="b is there already"):
        write(rendered, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]
    assert (tmp_path / "b").read_text() == "mine"
    write(rendered, tmp_path, force=True)
    assert (tmp_path / "b").read_text() == "2"


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RenderError, match="is there already"):
        write(Rendered(files={"a": "1"}), tmp_path)
    write(Rendered(files={"a": "1"}), tmp_path, force=True)
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RenderError, match="nothing is left half written"):
        write(Rendered(files={"a": "1"}), tmp_path, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "file").touch()
    with pytest.raises(RenderError, match="file"):
        write(Rendered(files={"a": "1"}), tmp_path / "file")
