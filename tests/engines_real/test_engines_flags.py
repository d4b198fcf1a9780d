"""The engines' own parsers: our snapshots are theirs, they take our commands, and both read the same from random ones."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from differential import answers, commands, differences
from kimi_backend.engines import flags
from kimi_backend.engines.flags import load
from record import ENVIRONMENTS

ENGINES = Path(os.environ["KIMI_ENGINES"])
HERE = Path(flags.__file__).parent
EVERY = pytest.mark.parametrize(("engine", "version"), list(ENVIRONMENTS))
K2 = json.loads(files("kimi_backend.specs").joinpath("data", "kimi-k2-0711.json").read_text(encoding="utf-8"))["config"]
NODES = "--nnodes 2 --node-rank 1"
SGLANG_16 = f"--model-path /m --tp-size 16 {NODES} --dist-init-addr 127.0.0.1:20000 --trust-remote-code --tool-call-parser kimi_k2"
VLLM_16 = f"/m -tp 16 {NODES} --master-addr 127.0.0.1 --headless --enable-auto-tool-choice --tool-call-parser kimi_k2"


def python(engine: str, version: str) -> str:
    return str(ENGINES / ENVIRONMENTS[engine, version] / "bin" / "python")


def ask(engine: str, version: str, *lines: str, until: str = "checked", model: Path | None = None) -> list[dict[str, Any]]:
    """What the engine says to each command line."""
    more = ["--model", str(model)] if model else []
    return answers(engine, python(engine, version), [shlex.split(line) for line in lines], until, *more)


@EVERY
def test_the_snapshot_is_what_the_installed_engine_gives(engine: str, version: str) -> None:
    fresh = subprocess.run([python(engine, version), str(HERE / "snapshot.py"), engine], capture_output=True, text=True, check=True)
    assert fresh.stdout == (HERE / "data" / f"{engine}-{version}.json").read_text(encoding="utf-8")


@EVERY
def test_random_command_lines_are_read_alike(engine: str, version: str) -> None:
    snapshot = load(engine, version)
    argvs = commands(snapshot, 1500, seed=int(os.environ.get("SEED", "6")))
    said = answers(engine, python(engine, version), argvs)
    found = [text for argv, real in zip(argvs, said, strict=True) for text in differences(snapshot, argv, real)]
    assert not found, "\n".join(found)
    assert 300 < sum(answer["accepted"] for answer in said) < 1300


def test_sglang_takes_the_16_gpu_commands_and_refuses_the_bad_ones() -> None:
    bad = ("--enable-ep-moe", "--enable-deepep-moe", "--cuda-graph-max-bs 8", "--tool-call-parser kimi_k22")
    good = (SGLANG_16, f"{SGLANG_16} --attn-dp-size 16 --ep-size 16 --moe-a2a-backend deepep --deepep-mode auto")
    said = ask("sglang", "0.5.23", *good, *(f"--model-path /m {line}" for line in bad))
    assert [answer["accepted"] for answer in said] == [True, True, False, False, False, False], said


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_vllm_takes_the_16_gpu_commands_and_refuses_the_bad_ones(version: str) -> None:
    data_parallel = "/m --data-parallel-size 16 --data-parallel-size-local 8 --data-parallel-address 127.0.0.1"
    good = (
        VLLM_16,
        f"{data_parallel} --data-parallel-rpc-port 13345 --enable-expert-parallel --headless --data-parallel-start-rank 8",
    )
    said = ask("vllm", version, *good, "/m --tpp 16", "/m --task generate", "/m --enable-auto-tool-choice")
    assert [answer["accepted"] for answer in said] == [True, True, False, False, False], said


@pytest.fixture
def k2(tmp_path: Path) -> Path:
    """A folder with K2's own config.json."""
    (tmp_path / "config.json").write_text(json.dumps(K2), encoding="utf-8")
    return tmp_path


def test_vllm_builds_its_configuration_for_k2_at_tp_16(k2: Path) -> None:
    line = "/m -tp 16 --nnodes 2 --node-rank 1 --master-addr 127.0.0.1 --headless --skip-tokenizer-init --max-model-len 131072"
    good, bad = ask("vllm", "0.32.0", line, line.replace("-tp 16", "-tp 24"), until="resolved", model=k2)
    assert good["accepted"], good["reason"]
    assert "24" in bad["reason"]  # 64 heads


def test_sglang_resolves_its_arguments_for_k2_at_tp_16(k2: Path) -> None:
    good, bad = ask("sglang", "0.5.23", SGLANG_16, SGLANG_16.replace("--tp-size 16", "--tp-size 15"), until="resolved", model=k2)
    assert good["accepted"], good["reason"]
    assert "divisible" in bad["reason"]
