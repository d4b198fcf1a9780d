"""The commands for 16 GPUs, written out by hand from the reference's facts about each engine."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from engine_launches import commands
from kimi_backend.engines import ENGINES
from kimi_backend.launch import CPUExperts, Launch, Site

SITE = Site(model_path="/models/Kimi-K2-Instruct-0905", host="0.0.0.0")
SGLANG_TP16 = Launch(engine="sglang", nodes=2, gpus_per_node=8, tp=16, context=131_072, memory_fraction=0.9)
SGLANG_WIDE = Launch(
    engine="sglang",
    nodes=2,
    gpus_per_node=8,
    tp=16,
    attention_dp=16,
    ep=16,
    context=131_072,
    memory_fraction=0.88,
    max_running=1024,
    low_latency=False,
)
VLLM_TP16 = Launch(engine="vllm", nodes=2, gpus_per_node=8, tp=16, context=131_072, memory_fraction=0.9, kv_dtype="fp8")
VLLM_TP8_PP2_DCP8 = Launch(
    engine="vllm", nodes=2, gpus_per_node=8, tp=8, pp=2, dcp=8, context=65_536, memory_fraction=0.9, kv_dtype="fp8", max_running=1
)
VLLM_DP16 = Launch(
    engine="vllm",
    nodes=2,
    gpus_per_node=8,
    tp=16,
    attention_dp=16,
    ep=16,
    context=131_072,
    memory_fraction=0.95,
    max_running=4096,
    low_latency=False,
)
TRT_TP16 = Launch(engine="tensorrt-llm", nodes=2, gpus_per_node=8, tp=16, ep=4, context=131_072, memory_fraction=0.75)
TRT_WIDE = Launch(
    engine="tensorrt-llm",
    nodes=2,
    gpus_per_node=8,
    tp=16,
    attention_dp=16,
    ep=16,
    context=131_072,
    memory_fraction=0.75,
    kv_dtype="fp8",
    max_running=2048,
    low_latency=False,
)
KT = Launch(
    engine="ktransformers",
    nodes=1,
    gpus_per_node=2,
    tp=2,
    context=65_536,
    memory_fraction=0.9,
    thinking=True,
    cpu_experts=CPUExperts(gpu_experts=8, threads=96, numa_nodes=2, method="RAWINT4"),
)

GOLDEN = {
    "sglang-tp16": (
        SGLANG_TP16,
        """python3 -m sglang.launch_server --model-path /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2
        --trust-remote-code --context-length 131072 --mem-fraction-static 0.90 --tool-call-parser kimi_k2 --tp-size 16
        --nnodes 2 --node-rank {rank} --dist-init-addr 10.0.0.1:20000 --enable-metrics --host {host} --port 30000""",
    ),
    "sglang-wide": (
        SGLANG_WIDE,
        """python3 -m sglang.launch_server --model-path /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2
        --trust-remote-code --context-length 131072 --mem-fraction-static 0.88 --max-running-requests 1024 --stream-interval 10
        --tool-call-parser kimi_k2 --tp-size 16 --attn-dp-size 16 --moe-dense-tp-size 1 --ep-size 16
        --moe-a2a-backend deepep --deepep-mode auto
        --nnodes 2 --node-rank {rank} --dist-init-addr 10.0.0.1:20000 --enable-metrics --host {host} --port 30000""",
    ),
    "vllm-tp16": (
        VLLM_TP16,
        """vllm serve /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2 --trust-remote-code --tensor-parallel-size 16
        --nnodes 2 --node-rank {rank} --master-addr 10.0.0.1 --master-port 20000 {headless} --max-model-len 131072
        --gpu-memory-utilization 0.90 --kv-cache-dtype fp8 --performance-mode interactivity
        --enable-auto-tool-choice --tool-call-parser kimi_k2 --shutdown-timeout 120 --host 0.0.0.0 --port 30000""",
    ),
    "vllm-tp8-pp2-dcp8": (
        VLLM_TP8_PP2_DCP8,
        """vllm serve /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2 --trust-remote-code --tensor-parallel-size 8
        --pipeline-parallel-size 2 --decode-context-parallel-size 8
        --nnodes 2 --node-rank {rank} --master-addr 10.0.0.1 --master-port 20000 {headless} --max-model-len 65536
        --gpu-memory-utilization 0.90 --kv-cache-dtype fp8 --max-num-seqs 1 --performance-mode interactivity
        --enable-auto-tool-choice --tool-call-parser kimi_k2 --shutdown-timeout 120 --host 0.0.0.0 --port 30000""",
    ),
    "vllm-dp16-ep16": (
        VLLM_DP16,
        """vllm serve /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2 --trust-remote-code --tensor-parallel-size 1
        --data-parallel-size 16 --enable-expert-parallel --data-parallel-size-local 8 --data-parallel-address 10.0.0.1
        --data-parallel-rpc-port 20000 {headless} {start_rank} --max-model-len 131072 --gpu-memory-utilization 0.95
        --max-num-seqs 256 --performance-mode throughput
        --enable-auto-tool-choice --tool-call-parser kimi_k2 --shutdown-timeout 120 --host 0.0.0.0 --port 30000""",
    ),
    "tensorrt-llm-tp16": (
        TRT_TP16,
        """trtllm-llmapi-launch trtllm-serve /models/Kimi-K2-Instruct-0905 --backend pytorch --trust_remote_code --tp_size 16
        --pp_size 1 --ep_size 4 --gpus_per_node 8 --max_seq_len 131072 --enable_chunked_prefill --tool_parser kimi_k2
        --config trtllm.yaml --host 0.0.0.0 --port 30000""",
    ),
    "tensorrt-llm-wide": (
        TRT_WIDE,
        """trtllm-llmapi-launch trtllm-serve /models/Kimi-K2-Instruct-0905 --backend pytorch --trust_remote_code --tp_size 16
        --pp_size 1 --ep_size 16 --gpus_per_node 8 --max_seq_len 131072 --enable_chunked_prefill --max_batch_size 128
        --tool_parser kimi_k2 --config trtllm.yaml --host 0.0.0.0 --port 30000""",
    ),
    "ktransformers": (
        KT,
        """python3 -m sglang.launch_server --model-path /models/Kimi-K2-Instruct-0905 --served-model-name kimi-k2
        --trust-remote-code --context-length 65536 --mem-fraction-static 0.90 --tool-call-parser kimi_k2 --reasoning-parser kimi_k2
        --tensor-parallel-size 2 --kt-weight-path /models/Kimi-K2-Instruct-0905 --kt-method RAWINT4 --kt-cpuinfer 96
        --kt-threadpool-count 2 --kt-num-gpu-experts 8 --enable-metrics --host 0.0.0.0 --port 30000""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_commands_as_published(name: str) -> None:
    launch, text = GOLDEN[name]
    for rank, command in enumerate(commands(launch, SITE)):
        worker = {"headless": "--headless", "start_rank": f"--data-parallel-start-rank {8 * rank}"} if rank else {}
        expected = text.format_map(
            {"rank": rank, "headless": "", "start_rank": "", "host": "127.0.0.1" if rank else "0.0.0.0", **worker}
        )
        assert list(command.argv) == shlex.split(expected)
        assert ENGINES[launch.engine].check(command.argv) == []
    assert ENGINES[launch.engine].read(commands(launch, SITE)) == launch


def test_files_of_tensorrt_llm() -> None:
    [head, _] = commands(TRT_WIDE, SITE)
    assert head.files["trtllm.yaml"].splitlines() == [
        "enable_attention_dp: true",
        "kv_cache_config:",
        "  dtype: fp8",
        "  free_gpu_memory_fraction: 0.75",
        "stream_interval: 10",
    ]


def test_mpi_uses_the_same_interface() -> None:
    site = Site(model_path="/models/K2", interface="bond0")
    env = commands(TRT_TP16, site)[0].env
    assert {env[f"OMPI_MCA_{part}_tcp_if_include"] for part in ("btl", "oob")} == {"bond0"}


@pytest.mark.parametrize(("role", "mode"), [("prefill", "normal"), ("decode", "low_latency")])
def test_sides_of_a_disaggregation(role: str, mode: str) -> None:
    launch = replace(SGLANG_WIDE, role=role, max_running=128)
    site = Site(model_path="/models/K2", infiniband=("mlx5_0", "mlx5_1"))
    words = shlex.join(commands(launch, site)[1].argv)
    assert f"--deepep-mode {mode}" in words
    assert f"--disaggregation-mode {role} --disaggregation-ib-device mlx5_0,mlx5_1" in words


def test_network_is_told_by_exact_names() -> None:
    site = Site(model_path="/models/K2", interface="bond0", infiniband=("mlx5_0", "mlx5_1"))
    for launch in (SGLANG_TP16, VLLM_TP16):
        assert commands(launch, site)[1].env == {
            "NCCL_SOCKET_IFNAME": "=bond0",
            "GLOO_SOCKET_IFNAME": "bond0",
            "NCCL_IB_HCA": "=mlx5_0,mlx5_1",
        }


def test_addresses_of_version_six_are_bracketed() -> None:
    for head in ("fd00::1", "[fd00::1]"):
        argv = commands(SGLANG_TP16, SITE, head)[0].argv
        assert argv[argv.index("--dist-init-addr") + 1] == "[fd00::1]:20000"


def test_no_key_has_a_place_in_a_command() -> None:
    site = Site(model_path="/models/K2", api_key_file="/run/secrets/key")
    for launch, _ in GOLDEN.values():
        assert all("key" not in word for command in commands(launch, site) for word in command.argv)
    ways = {name: (engine.api_key_variable, engine.api_key_config) for name, engine in ENGINES.items()}
    assert ways == {
        "sglang": (None, "--config"),
        "vllm": ("VLLM_API_KEY", None),
        "ktransformers": (None, "--config"),
        "tensorrt-llm": (None, None),
    }


@pytest.mark.parametrize(("running", "room"), [(2048, None), (2049, "129"), (16_384, "1024")])
def test_deepep_has_room_for_what_a_rank_decodes(running: int, room: str | None) -> None:
    written = commands(replace(SGLANG_WIDE, max_running=running), SITE)
    assert [command.env.get("SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK") for command in written] == [room, room]
    assert commands(replace(SGLANG_WIDE, max_running=running, role="prefill"), SITE)[0].env == {}


def test_groups_are_counted_over_all_nodes() -> None:
    launch = replace(VLLM_DP16, nodes=4, gpus_per_node=8, tp=32, attention_dp=16, ep=32)
    starts = [command.argv[command.argv.index("--data-parallel-start-rank") + 1] for command in commands(launch, SITE)[1:]]
    assert starts == ["4", "8", "12"]


def test_deepep_is_for_layouts_that_are_wide_throughout() -> None:
    # tp 8, dp 4, ep 4 is SGLang's published layout for eight B200; its experts are laid out without an all-to-all backend
    narrow = replace(SGLANG_TP16, nodes=1, tp=8)
    for launch in (replace(narrow, attention_dp=4, ep=4), replace(narrow, ep=8), replace(narrow, attention_dp=8)):
        assert "--moe-a2a-backend" not in commands(launch, SITE)[0].argv
    assert "--moe-a2a-backend" in commands(replace(narrow, attention_dp=4, ep=8), SITE)[0].argv
