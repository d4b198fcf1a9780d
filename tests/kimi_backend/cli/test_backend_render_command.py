"""`kimi-backend render`, `read` and `flags` as real processes: exit codes, what goes where, and keys that go nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each starts Python
TARGETS = ("commands", "slurm", "kubernetes", "compose", "systemd")
NODES = {target: ["--nodes", "10.0.0.1,10.0.0.2"] for target in ("commands", "compose", "systemd")}
KEY = "sk-never-written-3f9a"


def run(*words: object, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command on a plain pipe."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run(
        [sys.executable, "-m", "kimi_backend", *map(str, words)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=50,
        env=environment | {"PYTHONUTF8": "1", "COLUMNS": "160"},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def failed(*words: object, stdin: bytes = b"") -> str:
    """What a command that fails says: one line, and nothing on standard output."""
    code, out, err = run(*words, stdin=stdin)
    assert (code, out) == (1, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "k2.json"
    assert run("plan", "--gpus", "16xH200", "--output", path)[0] == 0
    return path


def render(plan: Path, target: str, into: Path, *more: object) -> list[object]:
    return ["render", target, "--plan", plan, "--into", into, "--model-path", "/models/k2", *NODES.get(target, []), *more]


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_rendered_is_read(target: str, plan: Path, tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    key = tmp_path / "key"
    key.write_text(KEY)
    code, out, err = run(
        *render(plan, target, tmp_path / "out", "--host", "0.0.0.0", "--api-key-file", key, "--served-name", "my $K2")
    )
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert all(KEY not in path.read_text() for path in (tmp_path / "out").iterdir())
    code, out, err = run("read", target, tmp_path / "out")
    assert (code, err) == (0, "")
    assert KEY not in out
    rows = {words[1]: words[3] for line in out.splitlines() if len(words := line.split()) > 3 and words[0] == "│"}
    assert {name: rows[name] for name in ("engine", "nodes", "tp", "context")} == {
        "engine": "sglang", "nodes": "2", "tp": "16", "context": "131072",
    }  # fmt: skip


def test_a_plan_is_not_written_over(plan: Path, tmp_path: Path) -> None:
    words = render(plan, "slurm", tmp_path / "out")
    assert run(*words)[0] == 0
    assert "is there already" in failed(*words)
    assert run(*words, "--force")[0] == 0


def test_wishes_of_another_target_are_refused(plan: Path, tmp_path: Path) -> None:
    assert "picks the nodes" in failed(*render(plan, "slurm", tmp_path / "a"), "--nodes", "10.0.0.1,10.0.0.2")
    assert "picks the machines" in failed(*render(plan, "kubernetes", tmp_path / "b"), "--host", "10.0.0.1")
    assert "give api_key_file" in failed(*render(plan, "commands", tmp_path / "c"), "--api-key-secret", "k2-key")
    assert not any((tmp_path / name).exists() for name in "abc")


def test_clients_are_told_by_the_name_what_the_model_is(plan: Path, tmp_path: Path) -> None:
    thinking = tmp_path / "thinking.json"
    assert run("plan", "--gpus", "16xH200", "--model", "kimi-k2-thinking", "--output", thinking)[0] == 0
    for path, name in ((plan, "kimi-k2"), (thinking, "kimi-k2-thinking")):
        assert run(*render(path, "slurm", tmp_path / name))[0] == 0
        assert f"--served-model-name {name}\n" in (tmp_path / name / "kimi-k2.sbatch").read_text()


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "node0.sh").write_bytes(b"exec \xff\xfe")
    assert "byte 5 cannot be" in failed("read", "commands", tmp_path)
    (tmp_path / "node0.sh").write_bytes(b"#" * 1_000_001)
    assert "more than 1,000,000 bytes" in failed("read", "commands", tmp_path)
    (tmp_path / "node0.sh").write_bytes(b"exec \x1b]0;owned\x07'")
    assert "\x1b" not in failed("read", "commands", tmp_path)
    assert "missing.sh" in failed("read", "commands", tmp_path / "missing.sh")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node0.sh")
    assert "no plain file" in failed("read", "commands", tmp_path / "node0.sh")
    assert "no file of a node" in failed("read", "commands", tmp_path)


def test_flags_are_checked_as_they_are_typed() -> None:
    good = b"python3 -m sglang.launch_server \\\n  --model-path k2 --tp-size 16 # all of them\n"
    assert run("flags", stdin=good) == (0, "SGLang 0.5.23 takes it\n", "")
    code, out, err = run(
        "flags", "--", "python3", "-m", "sglang.launch_server", "--model-path", "k2", "--tpp", "16", "--enable-ep-moe"
    )
    assert (code, err) == (1, "")
    assert [line.rpartition(": ")[2] for line in out.splitlines()] == [
        "--tp-size.", "--enable-ep-moe was removed; use --ep-size <n> instead.",
    ]  # fmt: skip
    assert "sglang_router.launch_router" in failed(
        "flags", stdin=b"python -m sglang.srt.disaggregation.launch_lb --decode http://b:1"
    )


def test_what_is_on_a_command_line_is_not_repeated_with_its_key() -> None:
    command = ["vllm", "serve", "m", "--api-key", KEY, "--tpp", "4", "--port", "x"]
    code, out, err = run("flags", "--", *command)
    assert code == 1
    assert "--port" in out
    assert KEY not in out + err


def test_the_routers_commands_are_checked_too() -> None:
    router = ("flags", "--", "python3", "-m", "sglang_router.launch_router", "--worker-urls", "http://10.0.0.1:30000")
    assert run(*router, "--policy", "cache_aware") == (0, "sglang-router takes it\n", "")
    code, out, _ = run(*router, "--polisy", "cache_aware")
    assert code == 1 and "--policy" in out
