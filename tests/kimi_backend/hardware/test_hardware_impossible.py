"""Cards, nodes and drivers that cannot be: refused where they are made, whoever made them."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.hardware import GPU, HardwareError, Host, live_cluster


@pytest.mark.parametrize(
    "wrong",
    [{"memory_mib": 0}, {"memory_mib": -1}, {"memory_mib": 10**9}, *({"bandwidth": b} for b in (0.0, -1.0, math.nan, math.inf))],
)
def test_no_such_card(wrong: dict[str, Any]) -> None:
    with pytest.raises(HardwareError, match="no card has"):
        replace(GPU("MINE", 80_000, 3e12, fp8=True, devices=()), **wrong)


@pytest.mark.parametrize(
    "wrong", [{"ram": 0}, {"cores": 0}, {"numa_nodes": 0}, *({"bandwidth": b} for b in (0.0, -1.0, math.nan, math.inf))]
)
def test_no_such_node(wrong: dict[str, Any]) -> None:
    with pytest.raises(HardwareError):
        replace(Host(ram=10**12, cores=64), **wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    "said", [r"NVIDIA H200, 0\n", r"NVIDIA H200, 9999999999999999\n", r"\377\376, 1\n", r"NVIDIA \377H200, 143771\n"]
)
def test_a_driver_that_says_nonsense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HardwareError):
        live_cluster()
