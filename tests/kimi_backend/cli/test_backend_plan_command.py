"""`kimi-backend plan` as a process: what it prints and where, with which exit code, whatever it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.plan import read_plan

pytestmark = pytest.mark.slow  # each starts Python
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="file names and devices of Linux")


def run(
    *words: str | bytes, cwd: Path | None = None, stdin: str = "", env: dict[str, str] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """The program's ways out, as a pipe gets them."""
    command = [sys.executable, "-m", "kimi_backend", *words]
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=50,
        check=False,
        cwd=cwd,
        env=inherited | {"PYTHONWARNINGS": "error", "PYTHONUTF8": "1"} | more | (env or {}),
    )


def refused(*words: str, code: int = 1, columns: str = "80") -> str:
    """What is said on standard error; nothing else is said, and nothing is a traceback."""
    ended = run("plan", "--gpus", "16xH200", *words, COLUMNS=columns)
    assert (ended.returncode, ended.stdout) == (code, ""), ended
    assert "Traceback" not in ended.stderr
    return " ".join(ended.stderr.split())


def test_json_is_one_document_and_equals_the_file(tmp_path: Path) -> None:
    ended = run("plan", "--gpus", "16xH200", "--json", "--output", str(tmp_path / "plan.json"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["instances"][0]["tp"] == 16
    assert (tmp_path / "plan.json").read_text(encoding="utf-8") == ended.stdout
    assert read_plan(tmp_path / "plan.json").launch.tp == 16
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("columns", ["1", "20", "40", "80", "300"])
def test_narrow_terminals_get_all_of_it(columns: str) -> None:
    ended = run("plan", "--gpus", "16xH200", COLUMNS=columns)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("env", [{"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_no_color_is_kept(env: dict[str, str]) -> None:
    ended = run("plan", "--gpus", "16xH200", env=env)
    assert ("\x1b[3" in ended.stdout) is False  # nothing is said by colour, so there is none
    assert ended.returncode == 0


@LINUX
def test_a_reader_who_stops_reading_hears_of_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "kimi_backend", "plan", "--gpus", "16xH200", "--json"]
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=50, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


@LINUX
def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "kimi_backend", "plan", "--gpus", "16xH200"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50, check=False)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--magic",), "No such option"),
        (("--engine", "magic"), "magic"),
        (("--kv", "fp4"), "fp4"),
        (("--sessions", "0"), "--sessions"),
        (("--memory-fraction", "nan"), "--memory-fraction"),
        (("--context", "many"), "131072 or 128k"),
        (("--ram", "1TB"), "--cores"),
        (("--ram-bandwidth", "600GB"), "--ram"),
        (("--numa", "2"), "--ram"),
        (("--output", "."), "no file's name"),
        (("--output", ""), "no file's name"),
    ],
    ids=str,
)
def test_words_that_mean_nothing_end_with_2(words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words, code=2, columns="200")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--memory-fraction", "0.905"), "0.905"),
        (("--sessions", "9" * 20), "less than 1,000,000,000,000"),
        (("--model", ""), "no model named ''"),
        (("--model", "~nobody-of-this-name"), "home directory"),
        (("--model", "kimi-k2-thinking", "--no-thinking"), "kimi-k2-thinking thinks"),
        (("--layout", "cpu-experts"), "ktransformers"),
        (("--chart", "memory.pdf"), "SVG or PNG"),
    ],
    ids=str,
)
def test_wishes_that_cannot_be_end_with_1(words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words)


@pytest.mark.parametrize("gpus", ["9999x8xH200", "8x99999xH200", "99999xH200", "16xMINE:99999999:999.9"])
def test_any_count_is_answered_soon(gpus: str) -> None:
    ended = run("plan", "--gpus", gpus)
    assert ended.returncode in (0, 1)
    assert "Traceback" not in ended.stderr


def test_a_folder_that_is_not_there_is_named_and_no_other_file(tmp_path: Path) -> None:
    told = refused("--output", str(tmp_path / "none" / "plan.json"))
    assert f"{tmp_path / 'none' / 'plan.json'}: there is no folder {tmp_path / 'none'}" in told
    assert ".partial" not in told + refused("--output", str(tmp_path))


def _folder(path: str | bytes, config: object) -> None:
    os.mkdir(path)
    name = path + b"/config.json" if isinstance(path, bytes) else f"{path}/config.json"
    with open(name, "w", encoding="utf-8") as file:
        json.dump(config, file)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    shipped = Path(__file__).parents[3] / "local_backend/kimi_backend/specs/data/kimi-k2-0905.json"
    return json.loads(shipped.read_text(encoding="utf-8"))["config"]


@LINUX
def test_a_folders_name_steers_no_terminal(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = bytes(tmp_path) + b"/k2\xff\x1b[31m\xc2\x9b2J"
    _folder(folder, config)
    for words in ((), ("--context", "300k"), ("--json",)):
        ended = run("plan", "--gpus", "16xH200", "--model", folder, *words, PYTHONUTF8="1")
        assert "Traceback" not in ended.stderr
        assert "k2" in ended.stdout + ended.stderr
        assert not {"\x1b", "\x9b"} & set(ended.stdout + ended.stderr)


@LINUX
def test_a_terminal_without_the_letters_of_a_folder(tmp_path: Path, config: dict[str, Any]) -> None:
    _folder(str(tmp_path / "中"), config)
    ended = run("plan", "--gpus", "16xH200", "--model", str(tmp_path / "中"), PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\u4e2d" in ended.stdout


def test_a_config_named_alone_has_its_folders_name(tmp_path: Path, config: dict[str, Any]) -> None:
    _folder(str(tmp_path / "mine"), config)
    ended = run("plan", "--gpus", "16xH200", "--model", "config.json", "--json", cwd=tmp_path / "mine")
    assert json.loads(ended.stdout)["model"]["name"] == "mine"


@LINUX
def test_live_reads_the_driver_and_takes_a_bandwidth(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do echo 'NVIDIA H200, 143771'; done\n", encoding="utf-8")
    program.chmod(0o755)
    ended = run("plan", "--gpus", "live", "--nodes", "2", "--json", "--ram-bandwidth", "600GB", PATH=str(tmp_path))
    cluster = json.loads(ended.stdout)["cluster"]
    assert (cluster["nodes"], cluster["gpus_per_node"], cluster["gpu"]["name"]) == (2, 8, "H200")
    assert cluster["host"]["bandwidth"] == 600e9


@LINUX
def test_a_drivers_own_words_steer_no_terminal(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf 'broken \\033[2J\\377' >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    ended = run("plan", "--gpus", "live", PATH=str(tmp_path))
    assert ended.returncode == 1
    assert "ended with 3: broken" in ended.stderr
    assert "\x1b" not in ended.stderr


def test_help_starts_without_what_only_some_commands_need() -> None:
    heavy = ["torch", "numpy", "matplotlib", "yaml", "transformers", "safetensors", "httpx", "starlette", "uvicorn"]
    code = f"import sys, kimi_backend.cli; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text",
    ["vllm serve /m \\\n  --port 8000\n", "NCCL_DEBUG=INFO vllm serve /m --port 8000", "# mine\nvllm serve /m \\\r\n --port 8000"],
)
def test_a_recipe_is_checked_as_it_is_pasted(text: str) -> None:
    ended = run("flags", stdin=text)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "takes it" in ended.stdout
