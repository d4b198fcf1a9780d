"""`kimi-backend checkpoint …` as real processes: exit codes, what goes where, and conversions that are broken off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import needs

pytestmark = pytest.mark.slow  # each starts Python
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
ROWS = COLUMNS = 4096


def environment(**more: str) -> dict[str, str]:
    """Of a pipe on a plain terminal."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    return inherited | {"PYTHONUTF8": "1"} | more


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "kimi_backend", "checkpoint", *map(str, words)]


def run(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        command(*words), capture_output=True, text=True, encoding="utf-8", timeout=50, check=False, env=environment(**more)
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def write_fp8(folder: Path, files: int) -> None:
    """Files of one fp8 weight each, all zeros, which are holes on the disk; 34 MB each in bf16."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    places: dict[str, str] = {}
    for number in range(files):
        name, values, scales = f"part-{number}.safetensors", ROWS * COLUMNS, ROWS * COLUMNS // 128**2
        entries = {
            f"w{number}.weight": {"dtype": "F8_E4M3", "shape": [ROWS, COLUMNS], "data_offsets": [0, values]},
            f"w{number}.weight_scale_inv": {
                "dtype": "F32",
                "shape": [ROWS // 128, COLUMNS // 128],
                "data_offsets": [values, values + 4 * scales],
            },
        }
        head = json.dumps(entries).encode()
        with (folder / name).open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            file.truncate(8 + len(head) + values + 4 * scales)
        places |= dict.fromkeys(entries, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    for package in ("torch", "safetensors", "tokenizers"):
        needs(package)
    made = run("tiny", tmp_path / "k2", "--fp8")
    assert (made.returncode, made.stdout.strip()) == (0, str(tmp_path / "k2"))
    return tmp_path / "k2"


def wait_for(what: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Until it is so; the process must not end before."""
    deadline = time.monotonic() + 40
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_inspect_and_verify_as_text_and_as_json(tiny: Path) -> None:
    ended = run("inspect", tiny, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["format"] == "fp8-block"
    ended = run("verify", tiny)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("whole: ")
    os.truncate(tiny / "model-00002-of-00003.safetensors", 5000)
    ended = run("verify", tiny, "--json")
    assert (ended.returncode, ended.stderr) == (1, "")
    found = json.loads(ended.stdout)
    assert not found["ok"]
    assert [finding["file"] for finding in found["findings"]][:1] == ["model-00002-of-00003.safetensors"]
    (tiny / "tokenizer.json").unlink()
    ended = run("verify", tiny, COLUMNS="200")
    assert "the folder" in ended.stdout  # where no file can be named
    ended = run("verify", tiny, COLUMNS="30")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "\x1b" not in ended.stdout


def test_a_folder_that_is_not_there() -> None:
    for words in (("inspect", "nowhere"), ("verify", "nowhere"), ("hash", "nowhere")):
        ended = run(*words)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "error: nowhere: No such file or directory" in ended.stderr


def test_hashes_of_two_copies(tiny: Path, tmp_path: Path) -> None:
    ended = run("hash", tiny, "--output", tmp_path / "SHA256SUMS")
    assert (ended.returncode, ended.stdout.strip()) == (0, str(tmp_path / "SHA256SUMS"))
    ended = run("hash", tiny, "--against", tmp_path / "SHA256SUMS")
    assert (ended.returncode, ended.stdout.strip()) == (0, "the same: 8 files")
    (tiny / "notes.txt").write_text("mine")
    ended = run("hash", tiny, "--against", tmp_path / "SHA256SUMS")
    assert ended.returncode == 0
    assert "warning: notes.txt: the list of hashes does not name it; remove it if it is not the model's" in ended.stdout
    (tiny / "config.json").write_text("{}")
    ended = run("hash", tiny, "--against", tmp_path / "SHA256SUMS")
    assert ended.returncode == 1
    assert "error: config.json: SHA-256 " in ended.stdout


def test_a_list_of_hashes_that_is_not_there(tmp_path: Path) -> None:
    ended = run("hash", tmp_path, "--against", tmp_path / "missing.sha")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.strip() == f"error: {tmp_path / 'missing.sha'}: No such file or directory"


def test_a_list_of_hashes_that_cannot_be_written_is_said_before_all_is_read(tmp_path: Path) -> None:
    """The folder does not exist either, but that is only found out by reading it."""
    ended = run("hash", tmp_path / "nowhere", "--output", tmp_path / "none" / "SHA256SUMS")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "SHA256SUMS cannot be written: there is no folder" in ended.stderr


def test_convert_tells_its_progress_on_standard_error_only(tiny: Path, tmp_path: Path) -> None:
    (tiny / "odd\x1b[2J.onnx").write_text("")
    ended = run("convert", tiny, tmp_path / "out", "--to", "bf16")
    assert ended.returncode == 0
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stdout.startswith(f"{tmp_path / 'out'}: ")
    assert "MB" in ended.stderr
    assert "left out: odd" in ended.stderr
    assert "\x1b[2J" not in ended.stderr
    assert run("verify", tmp_path / "out").returncode == 0
    ended = run("convert", tiny, tmp_path / "out", "--to", "bf16")
    assert ended.stdout.strip().endswith("0 files written, 3 kept")
    ended = run("convert", tmp_path / "out", tmp_path / "again", "--to", "bf16")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no weight is block-fp8, there is nothing to convert" in ended.stderr


@POSIX
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_conversion_that_is_broken_off_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    needs("torch")
    files = 6
    source, target = tmp_path / "fp8", tmp_path / "bf16"
    write_fp8(source, files)
    with subprocess.Popen(
        command("convert", source, target, "--to", "bf16"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        wait_for(lambda: (target / "part-0.safetensors").exists(), process)
        process.send_signal(how)
        said, complained = process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert said == ""
    assert "Traceback" not in complained
    assert not (target / "config.json").exists()
    if how is signal.SIGINT:
        assert not [path.name for path in target.iterdir() if path.name.endswith(".partial")]
    kept = len(list(target.glob("*.safetensors")))
    assert 1 <= kept < files
    ended = run("convert", source, target, "--to", "bf16")
    assert ended.returncode == 0
    assert ended.stdout.strip().endswith(f"{files - kept} files written, {kept} kept")
    assert (target / "config.json").exists()
    assert not list(target.glob(".*.partial"))


@POSIX
def test_two_processes_do_not_convert_into_one_folder(tmp_path: Path) -> None:
    needs("torch")
    source, target = tmp_path / "fp8", tmp_path / "bf16"
    write_fp8(source, 2)
    with subprocess.Popen(
        command("convert", source, target, "--to", "bf16"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    ) as first:
        wait_for(lambda: any(target.glob(".part-0*")) if target.exists() else False, first)
        first.send_signal(signal.SIGSTOP)
        try:
            ended = run("convert", source, target, "--to", "bf16")
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait(40) == 0
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "another process converts into" in ended.stderr
    assert len(list(target.glob("*.safetensors"))) == 2


def test_without_torch_the_line_says_what_to_install(tmp_path: Path) -> None:
    """A folder on the path hides torch, as an installation without it does. What needs no torch goes on working."""
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    write_fp8(tmp_path / "fp8", 1)
    for words in (("convert", tmp_path / "fp8", tmp_path / "out", "--to", "bf16"), ("tiny", tmp_path / "out")):
        ended = run(*words, PYTHONPATH=str(hiding))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.strip() == "error: this needs torch: pip install 'kimi-agent[local]'"
    assert not (tmp_path / "out").exists()
    for words in (("inspect", tmp_path / "fp8"), ("hash", tmp_path / "fp8")):
        assert run(*words, PYTHONPATH=str(hiding)).returncode == 0


@POSIX
def test_standard_output_that_is_closed(tmp_path: Path) -> None:
    write_fp8(tmp_path / "fp8", 1)
    for words in (("inspect", "fp8"), ("inspect", "fp8", "--json"), ("verify", "fp8")):
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run(
            command(*words), stdout=writer, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=environment()
        )
        os.close(writer)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words", [("convert", "a", "b"), ("convert", "a", "b", "--to", "int4"), ("verify",), ("tiny", "x", "--call", "f=[1]")]
)
def test_what_the_command_line_cannot_mean(words: tuple[str, ...], tmp_path: Path) -> None:
    if words[0] == "tiny":
        needs("torch")
    ended = run(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage: " in ended.stderr


def test_a_scripted_one_says_what_a_user_typed_wrongly(tmp_path: Path) -> None:
    needs("torch")
    ended = run("tiny", tmp_path / "x", "--say", "<|im_end|>")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "turn 1 holds <|im_end|>" in ended.stderr
    assert not (tmp_path / "x").exists()
