"""The chart of a plan's memory."""

# matplotlib's own stubs are not whole
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
import struct
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from kimi_backend.errors import BackendError
from kimi_backend.hardware import parse_cluster
from kimi_backend.plan import Plan, make_plan
from kimi_backend.plan.chart import ChartError, draw
from needs import needs
from plan_makers import K2, planned

needs("matplotlib")


@pytest.fixture(scope="module")
def h200() -> Plan:
    return planned("16xH200")


def texts(path: Path) -> list[str]:
    """Every text of an SVG: matplotlib draws letters as shapes, and writes what they say beside them."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_an_svg_says_every_part_in_gigabytes(h200: Plan, tmp_path: Path) -> None:
    draw(h200, tmp_path / "memory.svg")
    ET.parse(tmp_path / "memory.svg")
    told = texts(tmp_path / "memory.svg")
    for expected in (
        "kimi-k2-0905 on 16xH200 on 2 nodes: memory of each rank",
        "routed experts: 63.43 GB",
        "attention, on every rank: 0.92 GB",
        "KV cache: 70.11 GB",
        "rest: 15.08 GB",
        "card 150.8 GB",
        "GB (1e9 bytes)",
    ):
        assert expected in told
    assert "SGLang: TP 16" in told[1] or any(line.startswith("SGLang: TP 16") for line in told)


def test_what_every_rank_holds_is_hatched(h200: Plan, tmp_path: Path) -> None:
    draw(h200, tmp_path / "memory.svg")
    svg = (tmp_path / "memory.svg").read_text(encoding="utf-8")
    drawn = len(re.findall(r'fill: url\(#\w+\)|fill="url\(#\w+\)"', svg))
    # low-rank inputs, router with norms: one segment of the bar and one patch of the legend each
    assert drawn == 4


def test_equal_plans_are_equal_bytes(h200: Plan, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw(h200, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_settings_of_the_users_own_change_nothing(h200: Plan, tmp_path: Path) -> None:
    import matplotlib

    draw(h200, tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        draw(h200, tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png_is_a_picture(h200: Plan, tmp_path: Path) -> None:
    draw(h200, tmp_path / "memory.PNG")
    head = (tmp_path / "memory.PNG").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width == 1600
    assert height > 300


def test_every_stage_has_a_bar_of_its_own(tmp_path: Path) -> None:
    draw(planned("16xH100", engine="vllm", strategy="pipeline", context=32_768), tmp_path / "stages.svg")
    told = texts(tmp_path / "stages.svg")
    assert {"stage 0", "layers 0-30", "stage 1", "layers 31-60"} <= set(told) | {w for line in told for w in line.split("\n")}
    assert any(re.fullmatch(r"KV cache: [\d.]+ / [\d.]+ GB", line) for line in told)


def test_a_folders_name_is_only_text(tmp_path: Path) -> None:
    """Mathematics, mark-up, control characters and letters that the font lacks."""
    name = "$\\frac$ <b> & -- \x1b[31m 月之暗面"
    draw(make_plan(replace(K2, name=name), parse_cluster("16xH200")), tmp_path / "name.svg")
    ET.parse(tmp_path / "name.svg")
    assert any("$\\frac$" in line for line in texts(tmp_path / "name.svg"))


@pytest.mark.parametrize("name", ["memory.pdf", "memory", "memory.svg.txt", ".svg"])
def test_another_ending_is_refused_before_anything_is_written(h200: Plan, tmp_path: Path, name: str) -> None:
    with pytest.raises(ChartError, match=r"\.svg or \.png"):
        draw(h200, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(h200: Plan, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="nowhere"):
        draw(h200, tmp_path / "nowhere" / "memory.svg")


def test_no_part_of_a_file_is_left(h200: Plan, tmp_path: Path) -> None:
    (tmp_path / "memory.svg").mkdir()
    with pytest.raises(ChartError, match="could not be written"):
        draw(h200, tmp_path / "memory.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["memory.svg"]


def test_without_matplotlib_the_extra_is_named(h200: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)  # as Python itself marks what cannot be imported
    with pytest.raises(BackendError, match=r"pip install 'kimi-agent\[backend\]'"):
        draw(h200, tmp_path / "memory.svg")
