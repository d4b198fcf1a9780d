"""The engines' own parsers take the commands that we write for 16 GPUs, and go on to build the configuration of K2 from them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from differential import answers
from kimi_backend.engines import ENGINES
from kimi_backend.engines.flags import load
from kimi_backend.launch import CPUExperts, EngineName, Launch, Node, Site

WHERE = Path(os.environ["KIMI_ENGINES"])
K2 = json.loads(files("kimi_backend.specs").joinpath("data", "kimi-k2-0711.json").read_text(encoding="utf-8"))["config"]
SITE = Site(model_path="/models/kimi k2", addresses=("127.0.0.1", "127.0.0.2"), interface="lo")
SGLANG = Launch(engine="sglang", nodes=2, gpus_per_node=8, tp=16, context=131072, memory_fraction=0.85)
VLLM = replace(SGLANG, engine="vllm", memory_fraction=0.9, context=65536)
EXPERTS = CPUExperts(gpu_experts=8, threads=64, numa_nodes=2, method="RAWINT4")
LAUNCHES = {
    "sglang": [
        SGLANG,
        replace(SGLANG, kv_dtype="fp8", max_running=64),
        replace(SGLANG, attention_dp=16, ep=16, low_latency=False),
        replace(SGLANG, tp=8, pp=2),
        replace(SGLANG, thinking=True),
    ],
    "vllm": [
        VLLM,
        replace(VLLM, kv_dtype="fp8", max_running=64),
        replace(VLLM, tp=8, pp=2, dcp=8, kv_dtype="fp8"),
        replace(VLLM, attention_dp=16, ep=16, low_latency=False),
    ],
    "ktransformers": [replace(SGLANG, engine="ktransformers", nodes=1, gpus_per_node=2, tp=2, cpu_experts=EXPERTS)],
}
PARSERS = (("sglang", "sglang", "0.5.23", "sglang"), ("vllm", "vllm", "0.33.0", "vllm-0.33"), ("vllm", "vllm", "0.32.0", "vllm"))
FORK = ("ktransformers", "sglang-kt", "0.7.2", "sglang-kt")


def commands(name: EngineName, flags: str) -> list[list[str]]:
    """What follows the program's words, for both nodes of each launch."""
    nodes = [Node(rank=str(rank), head="127.0.0.1", is_head=rank == 0) for rank in range(2)]
    argvs = [ENGINES[name].invocation(each, SITE, node).argv for each in LAUNCHES[name] for node in nodes[: each.nodes]]
    return [list(load(flags).arguments(argv)) for argv in argvs]


@pytest.mark.parametrize(("name", "flags", "version", "place"), [*PARSERS, FORK])
def test_the_engine_takes_our_commands(name: EngineName, flags: str, version: str, place: str) -> None:
    argvs = commands(name, flags)
    until = "parser" if name == "ktransformers" else "checked"  # the fork resolves at once, and imports CUDA kernels for it
    said = answers(flags, str(WHERE / place / "bin" / "python"), argvs, until)
    assert [(argv, answer["reason"]) for argv, answer in zip(argvs, said, strict=True) if not answer["accepted"]] == []
    assert [load(flags, version).check(argv) for argv in argvs] == [[]] * len(argvs)


@pytest.mark.parametrize(("name", "flags", "version", "place"), PARSERS)
def test_the_engine_builds_its_configuration_from_them(
    name: EngineName, flags: str, version: str, place: str, tmp_path: Path
) -> None:
    """Without tokenizer and GPUs, which the layout does not need."""
    (tmp_path / "config.json").write_text(json.dumps(K2), encoding="utf-8")
    argvs = [[*argv, *(["--skip-tokenizer-init"] if name == "vllm" else [])] for argv in commands(name, flags)]
    said = answers(flags, str(WHERE / place / "bin" / "python"), argvs, "resolved", "--model", str(tmp_path))
    assert [(argv, answer["reason"]) for argv, answer in zip(argvs, said, strict=True) if not answer["accepted"]] == []
