"""A `config.json` that somebody made to be read badly: refused soon, with the field."""

from __future__ import annotations

import json
import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.specs import SpecError, find_model, read_model, shipped_model

CONFIG: dict[str, Any] = json.loads((files("kimi_backend.specs") / "data" / "kimi-k2-0905.json").read_text(encoding="utf-8"))[
    "config"
]


@pytest.mark.parametrize("field", ["num_hidden_layers", "first_k_dense_replace", "hidden_size", "n_routed_experts", "vocab_size"])
@pytest.mark.parametrize("value", [10**12, -1, 7.5, float("nan"), float("inf"), "10**9", [61], None, {}])
def test_a_size_that_no_model_has(tmp_path: Path, field: str, value: object) -> None:
    """10**12 layers would be counted one by one."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {field: value}), encoding="utf-8")
    with pytest.raises(SpecError, match=field):
        read_model(tmp_path)


@pytest.mark.parametrize("field", ["rms_norm_eps", "rope_theta", "routed_scaling_factor"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none(tmp_path: Path, field: str, value: str) -> None:
    text = json.dumps(CONFIG | {field: "HERE"}).replace('"HERE"', value)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=field):
        read_model(tmp_path)


def test_nesting_without_end(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 1_000_000, encoding="utf-8")
    with pytest.raises(SpecError, match="not JSON"):
        read_model(tmp_path)


def test_a_file_that_is_far_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)  # a hole: nothing of it is on the disk
    with pytest.raises(SpecError, match="longer than 16,777,216 bytes"):
        read_model(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files in folders")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(SpecError, match="is not a file"):
        read_model(tmp_path)


def test_a_name_of_control_characters_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    folder = tmp_path / "k2\x1b[2J"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    assert read_model(folder).name == "k2\N{REPLACEMENT CHARACTER}[2J"


def test_whether_a_shipped_model_thinks_is_known() -> None:
    assert find_model("kimi-k2-thinking", thinking=True) == shipped_model("kimi-k2-thinking")
    with pytest.raises(SpecError, match="does not think"):
        find_model("kimi-k2-0905", thinking=True)


def test_a_vision_tower_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": CONFIG, "vision_config": {"depth": 27}}), encoding="utf-8")
    assert read_model(tmp_path).vision
    assert not shipped_model("kimi-k2-0905").vision
