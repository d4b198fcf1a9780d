"""Whatever is written after `kimi-backend plan`, the answer is a plan, a refusal or a word about usage, and never a traceback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kimi_backend.cli import app
from kimi_backend.plan import Strategy
from typer.testing import CliRunner

STRATEGIES: tuple[Strategy, ...] = ("tensor", "attention-dp", "pipeline", "disaggregated", "cpu-experts")
ODD_NUMBERS = ["", "nan", "1e3", "0x10", "9" * 400, "²", "１２"]
NUMBERS = st.one_of(st.integers(-2, 40).map(str), st.sampled_from(ODD_NUMBERS), st.text(max_size=5))
KINDS = st.sampled_from(["H200", "h20", "A100", "MI300X", "RTX4090-48", "X:1:1", "X:0:0", "X:99999999:999.9", "[red]", "\x1b[31m"])
COUNTS = st.sampled_from(["0", "1", "3", "8", "16", "24", "9999", "2x8", "7x5", "0x8", "-1", ""])
GPUS = st.one_of(st.builds("{}x{}".format, COUNTS, KINDS), st.text(max_size=12).filter(lambda text: text != "live"))
SIZES = st.one_of(st.builds("{}{}".format, NUMBERS, st.sampled_from(["", "k", "m", "GB", "TiB", " TB"])), st.text(max_size=6))
OPTIONS: dict[str, st.SearchStrategy[str]] = {
    "--model": st.sampled_from(["kimi-k2-0905", "kimi-k2.5", "", ".", "/", "~", "~x", "\n", "a" * 300]),
    "--engine": st.sampled_from(["sglang", "vllm", "tensorrt-llm", "ktransformers", "x"]),
    "--context": SIZES,
    "--sessions": NUMBERS,
    "--goal": st.sampled_from(["latency", "throughput", ""]),
    "--layout": st.sampled_from([*STRATEGIES, "x"]),
    "--attention-dp": NUMBERS,
    "--replicas": NUMBERS,
    "--kv": st.sampled_from(["bf16", "fp8", "fp4"]),
    "--memory-fraction": st.one_of(NUMBERS, st.sampled_from(["0.85", "0.95", "0.905", "-0", "inf"])),
    "--max-running": NUMBERS,
    "--nodes": NUMBERS,
    "--ram": SIZES,
    "--ram-bandwidth": SIZES,
    "--cores": NUMBERS,
    "--numa": NUMBERS,
    "--gpu-experts": NUMBERS,
}
NAMES = st.sets(st.sampled_from(sorted(OPTIONS)), max_size=4)
WORDS = NAMES.flatmap(lambda names: st.fixed_dictionaries({name: OPTIONS[name] for name in names}))


@pytest.mark.slow
@given(gpus=GPUS, options=WORDS, flags=st.sets(st.sampled_from(["--thinking", "--no-thinking"]), max_size=1))
@settings(max_examples=150, deadline=None)
def test_any_words_are_answered(gpus: str, options: dict[str, str], flags: set[str]) -> None:
    words = [word for pair in options.items() for word in pair]
    ended = CliRunner().invoke(app, ["plan", "--gpus", gpus, "--json", *words, *flags])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), (gpus, words)
    assert ended.exit_code in (0, 1, 2)
    assert "\x1b" not in ended.stderr
    if ended.exit_code == 0:
        assert json.loads(ended.stdout)["worked_out"]["sessions"] >= 1
    else:
        assert (ended.stdout, bool(ended.stderr)) == ("", True)
