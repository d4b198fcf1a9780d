"""What goes wrong while a checkpoint is converted: the process is killed, the disk fills, the memory is small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoint_makers import FP8_CONFIG, K2, TINY, Spec, bf16_spec, make_sparse
from checkpoint_weights import contents, make_fp8
from needs import needs

needs("torch")
needs("safetensors.torch")

from kimi_backend.checkpoint import CheckpointError  # noqa: E402
from kimi_backend.checkpoint.convert import convert  # noqa: E402

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("checkpoint_child.py")
MIDDLE: dict[str, Any] = TINY | {"hidden_size": 512, "n_routed_experts": 8, "moe_intermediate_size": 520}


def child(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The conversion in a process of its own."""
    return subprocess.run([sys.executable, str(CHILD), *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.drill
def test_killed_at_steps_and_at_moments(tmp_path: Path) -> None:
    """SIGKILL leaves no chance to tidy up. Random moments also hit the flush, the renaming and what comes after the weights."""
    source, target, whole = tmp_path / "fp8", tmp_path / "out", tmp_path / "whole"
    make_fp8(source, MIDDLE, shards=4)
    convert(source, whole, to="bf16")
    wanted = contents(whole)
    for step in (1, 40, 20):
        assert child("convert", source, target, "bf16", step).returncode == -9
        finished = {name: data for name, data in contents(target).items() if not name.endswith(".partial")}
        assert finished.items() <= wanted.items()
    done = child("kills", source, target, "bf16")
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"killed {done.stdout.strip()} times")
    assert int(done.stdout) >= 3
    assert contents(target) == wanted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.name == "nt"
        or os.geteuid()
        or not shutil.which("mount")
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", place], check=False).returncode
    ):
        pytest.skip("mounting a small disk needs root; EFBIG is tried in test_checkpoint_convert")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills(tmp_path: Path, small_disk: Path) -> None:
    source, target, filler = tmp_path / "fp8", small_disk / "out", small_disk / "somebody-elses"
    files = make_fp8(source, MIDDLE, shards=4)
    last = list(files)[2]
    convert(source, tmp_path / "whole", to="bf16")
    wanted = contents(tmp_path / "whole")
    assert sum(map(len, wanted.values())) > 30_000_000

    def fill(name: str, *_: object) -> None:
        if name != last or filler.exists():
            return
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(100_000)):
                    pass
            except OSError:
                return

    with pytest.raises(CheckpointError, match=rf"No space left on device.*{last} needs .* are free .* make room and convert again"):
        convert(source, target, to="bf16", progress=fill)
    there = contents(target)
    assert there.items() <= wanted.items()
    assert sorted(name for name in there if name.endswith(".safetensors")) == list(files)[:2]
    with pytest.raises(CheckpointError, match=r"too small: .* are needed, .* are free, .* are missing"):
        convert(source, target, to="bf16")
    filler.unlink()
    assert convert(source, target, to="bf16").kept == 2
    assert contents(target) == wanted


def one_weight(folder: Path, rows: int) -> None:
    """A checkpoint of one fp8 weight of `[rows, 8192]` and one that is copied."""
    name, columns = "model.layers.0.self_attn.o_proj.weight", 8192
    scales = ("F32", (-(-rows // 128), -(-columns // 128)))
    spec: Spec = {name: ("F8_E4M3", (rows, columns)), f"{name}_scale_inv": scales, "lm_head.weight": ("BF16", (rows, 1000))}
    make_sparse(folder, spec, TINY | {"quantization_config": FP8_CONFIG}, 1)


@pytest.mark.drill
def test_memory_does_not_grow_with_the_weight(tmp_path: Path) -> None:
    """Peak of two processes: weights of 33 and 268 MB (fp8), 67 and 537 MB (bf16)."""
    peaks: list[int] = []
    for rows in (4096, 32768):
        one_weight(tmp_path / str(rows), rows)
        done = child("convert", tmp_path / str(rows), tmp_path / f"{rows}-bf16", "bf16", 0)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    print("to bf16", peaks)
    assert abs(peaks[1] - peaks[0]) < 16_000_000
    assert max(peaks) < 150_000_000


@pytest.mark.drill
def test_memory_stays_small_towards_fp8(tmp_path: Path) -> None:
    """Weights of K2's widest matrices, 264 MB each in bf16. A row of blocks must fit: 18432 columns take some ten MB."""
    config = TINY | {key: K2[key] for key in ("hidden_size", "intermediate_size")} | {"num_hidden_layers": 1}
    make_sparse(tmp_path / "bf16", bf16_spec(config), config, 1)
    done = child("convert", tmp_path / "bf16", tmp_path / "fp8", "fp8", 0)
    assert done.returncode == 0, done.stderr
    print("to fp8", done.stdout)
    assert int(done.stdout) < 150_000_000
