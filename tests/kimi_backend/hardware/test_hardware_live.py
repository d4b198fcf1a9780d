"""The node's own cards, as a driver program on the PATH tells them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kimi_backend.hardware import HardwareError, live_cluster, live_host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for nvidia-smi is a shell script")
H100, H20, H20_141 = "NVIDIA H100 80GB HBM3, 81559", "NVIDIA H20, 97871", "NVIDIA H20, 143771"
Driver = Callable[..., None]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Puts an `nvidia-smi` on the PATH, alone there, that says these lines."""

    def install(*lines: str, end: int = 0, error: str = "") -> None:
        program = tmp_path / "nvidia-smi"
        told = "".join(f"{line}\n" for line in lines)
        # builtins only: nothing else is on the PATH
        program.write_text(f"#!/bin/sh\nprintf %s '{told}'\nprintf %s '{error}' >&2\nexit {end}\n", encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    return install


def test_eight_cards(driver: Driver) -> None:
    driver(*[H100] * 8)
    cluster = live_cluster()
    assert (cluster.gpu.name, cluster.nodes, cluster.gpus_per_node) == ("H100", 1, 8)
    assert cluster.gpu.memory == 81_559 * 2**20


def test_this_node_stands_for_all(driver: Driver) -> None:
    driver(*[H100] * 8)
    assert live_cluster(nodes=2).gpus == 16


@pytest.mark.parametrize(("line", "kind"), [(H20, "H20-96"), (H20_141, "H20-141")])
def test_cards_of_one_name_are_told_apart_by_their_memory(driver: Driver, line: str, kind: str) -> None:
    driver(line, line)
    assert live_cluster().gpu.name == kind


def test_cards_of_two_kinds_are_refused(driver: Driver) -> None:
    driver(H100, H20)
    with pytest.raises(HardwareError, match=r"several kinds: NVIDIA H100 80GB HBM3 \(81559 MiB\), NVIDIA H20 \(97871 MiB\)"):
        live_cluster()


def test_a_card_that_nobody_knows_is_refused(driver: Driver) -> None:
    driver("NVIDIA Tesla K80, 11441")
    with pytest.raises(HardwareError, match=r"'NVIDIA Tesla K80'.*MINE:11441"):
        live_cluster()


def test_a_driver_that_fails_is_quoted(driver: Driver) -> None:
    driver(end=9, error="NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.")
    with pytest.raises(HardwareError, match=r"ended with 9: NVIDIA-SMI has failed because"):
        live_cluster()


@pytest.mark.parametrize("lines", [("No devices were found",), ("NVIDIA H100, [N/A]",), ("<html>",), ("NVIDIA H100, -1",)])
def test_an_answer_that_is_no_table_is_quoted(driver: Driver, lines: tuple[str, ...]) -> None:
    driver(*lines)
    with pytest.raises(HardwareError) as caught:
        live_cluster()
    assert lines[0] in str(caught.value)


def test_no_card_is_said(driver: Driver) -> None:
    driver()
    with pytest.raises(HardwareError, match="shows no card"):
        live_cluster()


def test_a_node_without_the_driver_program_is_told_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HardwareError, match=r"nvidia-smi is not on the PATH.*16xH200"):
        live_cluster()


@pytest.mark.skipif(sys.platform != "linux", reason="reads what the Linux kernel tells")
def test_this_nodes_memory_is_the_kernels() -> None:
    total = next(line for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines() if line.startswith("MemTotal"))
    host = live_host()
    assert host.ram == pytest.approx(int(total.split()[1]) * 1024, rel=0.02)
    assert host.cores >= 1
    assert host.numa_nodes >= 1
