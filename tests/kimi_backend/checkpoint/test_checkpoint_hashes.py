"""Hashes against `hashlib` and `sha256sum`, and the comparison of two copies."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from kimi_backend.checkpoint import CheckpointError, compare_hashes, hash_files, read_hashes, write_hashes


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Three files, one of more than one block, and what is not hashed."""
    folder = tmp_path / "copy"
    (folder / "figures").mkdir(parents=True)
    (folder / "a b.safetensors").write_bytes(bytes(range(256)) * 20_000)
    (folder / "config.json").write_text("{}")
    (folder / "empty").write_bytes(b"")
    (folder / ".cache").write_text("hidden")
    return folder


def test_hashes_of_all_files_with_their_progress(copy: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    found = hash_files(copy, progress=lambda *step: seen.append(step))
    assert found == {
        name: hashlib.sha256((copy / name).read_bytes()).hexdigest() for name in ("a b.safetensors", "config.json", "empty")
    }
    assert seen[-1][1:] == (5_120_002, 5_120_002)


def test_the_list_is_one_that_sha256sum_reads(copy: Path) -> None:
    write_hashes(copy / "SHA256SUMS", hash_files(copy))
    assert read_hashes(copy / "SHA256SUMS") == hash_files(copy)
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_two_copies_that_differ(copy: Path) -> None:
    expected = hash_files(copy)
    with (copy / "a b.safetensors").open("r+b") as file:  # one bit: size and header of a file would stay as they are
        file.seek(1_000_000)
        file.write(b"\x41")
    (copy / "config.json").unlink()
    (copy / "new").write_text("x")
    found = compare_hashes(expected, hash_files(copy))
    assert [(f.kind, f.level, f.file) for f in found] == [
        ("missing-file", "error", "config.json"),
        ("other-content", "error", "a b.safetensors"),
        ("extra-file", "warning", "new"),
    ]


@pytest.mark.parametrize(
    "line", ["0" * 63 + "  a", "0" * 64 + " a", "0" * 64 + "  ../a", "0" * 64 + "  a\n" + "1" * 64 + "  a", "x"]
)
def test_a_list_that_is_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(line)
    with pytest.raises(CheckpointError, match=r"line [12] is not"):
        read_hashes(tmp_path / "SHA256SUMS")


def test_what_cannot_be_hashed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        hash_files(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="No such file"):
        read_hashes(tmp_path / "SHA256SUMS")
    with pytest.raises(CheckpointError, match=r"No such file.*name a place"):
        write_hashes(tmp_path / "nowhere" / "SHA256SUMS", {})
    (tmp_path / "a\nb").write_text("x")
    with pytest.raises(CheckpointError, match="not printable"):
        hash_files(tmp_path)
