"""The commands of Moonshot's deployment guides, letter for letter, and what to write today.

Sources: MoonshotAI/Kimi-K2 docs/deploy_guidance.md (2025), MoonshotAI/Kimi-K2.5 docs/deploy_guidance.md (2026). Shell variables
have values here.
"""

from __future__ import annotations

import pytest
from kimi_backend.engines import ENGINES, FlagError, engine_of

WIDE = (
    "--trust-remote-code --host 10.0.0.1 --tool-call-parser kimi_k2 --enable-dp-attention --decode-log-interval 1 "
    "--disable-radix-cache --enable-deepep-moe --moe-dense-tp-size 1 --enable-dp-lm-head --disable-shared-experts-fusion "
    "--watchdog-timeout 1000000 --enable-two-batch-overlap --disaggregation-ib-device mlx5_0"
)
DEEPEP, ATTENTION = "--moe-a2a-backend deepep", "--attn-dp-size"
RECIPES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "vLLM TP16": (
        "vllm serve /m --port 8000 --served-model-name kimi-k2 --trust-remote-code --tensor-parallel-size 16 "
        "--enable-auto-tool-choice --tool-call-parser kimi_k2",
        [],
    ),
    "vLLM DP+EP, second node": (
        "vllm serve /m --headless --data-parallel-start-rank 8 --port 8000 --served-model-name kimi-k2 --trust-remote-code "
        "--data-parallel-size 16 --data-parallel-size-local 8 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 5000 "
        "--enable-expert-parallel --max-num-batched-tokens 8192 --max-num-seqs 256 --gpu-memory-utilization 0.85 "
        "--enable-auto-tool-choice --tool-call-parser kimi_k2",
        [],
    ),
    "SGLang TP16": (
        "python -m sglang.launch_server --model-path /m --tp 16 --dist-init-addr 10.0.0.1:50000 --nnodes 2 --node-rank 0 "
        "--trust-remote-code --tool-call-parser kimi_k2",
        [("--tp", "--tp-size")],
    ),
    "SGLang prefill": (
        f"python -m sglang.launch_server --model-path /m --disaggregation-mode prefill --dist-init-addr 10.0.0.1:5757 "
        f"--tp-size 32 --dp-size 32 --nnodes 4 --node-rank 0 {WIDE} --chunked-prefill-size 131072 --mem-fraction-static 0.85 "
        "--deepep-mode normal --ep-dispatch-algorithm dynamic --eplb-algorithm deepseek --max-running-requests 1024",
        [("--enable-dp-attention", ATTENTION), ("--enable-deepep-moe", DEEPEP)],
    ),
    "SGLang decode": (
        f"python -m sglang.launch_server --model-path /m --disaggregation-mode decode --dist-init-addr 10.0.0.5:5757 --tp-size 96 "
        f"--dp-size 96 --nnodes 12 --node-rank 0 {WIDE} --context-length 2176 --deepep-mode low_latency "
        "--mem-fraction-static 0.8 --cuda-graph-bs 480 --max-running-requests 46080 --ep-num-redundant-experts 96",
        [
            ("--enable-dp-attention", ATTENTION),
            ("--enable-deepep-moe", DEEPEP),
            ("--cuda-graph-bs", "--cuda-graph-bs-{decode,prefill}"),
        ],
    ),
    "TensorRT-LLM under mpirun": (
        "mpirun -np 16 -H 10.0.0.1:8,10.0.0.2:8 --allow-run-as-root trtllm-llmapi-launch trtllm-serve serve --backend pytorch "
        "--tp_size 16 --ep_size 8 --kv_cache_free_gpu_memory_fraction 0.95 --trust_remote_code --max_batch_size 128 "
        "--max_num_tokens 4096 --extra_llm_api_options /p/extra-llm-api-config.yml --port 8000 /m",
        [("--extra_llm_api_options", "--config")],
    ),
    "K2.5 in vLLM": (
        "vllm serve /m -tp 8 --mm-encoder-tp-mode data --trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2",
        [],
    ),
    "K2.5 in SGLang": (
        "sglang serve --model-path /m --tp 8 --trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2",
        [("--tp", "--tp-size")],
    ),
    "K2.5 in KTransformers": (
        "python -m sglang.launch_server --model /m --kt-amx-weight-path /w --kt-cpuinfer 64 --kt-threadpool-count 2 "
        "--kt-num-gpu-experts 180 --kt-amx-method AMXINT4 --mem-fraction-static 0.98 --chunked-prefill-size 16384 "
        "--max-running-requests 48 --max-total-tokens 50000 --tensor-parallel-size 8 --enable-p2p-check "
        "--disable-shared-experts-fusion",
        [("--kt-amx-weight-path", "--kt-weight-path"), ("--kt-amx-method", "--kt-method")],
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_told_its_successors_and_nothing_else(name: str) -> None:
    command, changes = RECIPES[name]
    argv = command.split()
    told = ENGINES[engine_of(argv)].check(argv)
    assert len(told) == len(changes), told
    for text, (old, new) in zip(told, changes, strict=True):
        assert old in text.split()
        assert new in text.replace(".", " ").split(old, 1)[1]


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (
            "python -m sglang.srt.disaggregation.launch_lb --prefill http://a:30000 --decode http://b:30000",
            "sglang_router.launch_router --pd-disaggregation",
        ),
        (
            "python ktransformers/server/main.py --model_path /path/to/K2 --gguf_path /path/to/K2 --cache_lens 30000",
            "sglang.launch_server --kt-weight-path",
        ),
        ("python -m vllm.entrypoints.openai.api_server --model /m", "vllm serve MODEL"),
    ],
)
def test_programs_of_older_recipes_name_what_took_their_place(command: str, instead: str) -> None:
    with pytest.raises(FlagError) as told:
        engine_of(command.split())
    assert instead in str(told.value)


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("python3 -m sglang.launch_server --model-path /m --tpp 16", "--tp-size"),
        ("python3 -m sglang.launch_server --model-path /m --context-lenght 5", "--context-length"),
        ("vllm serve /m --tensor-paralel 16", "--tensor-parallel-size"),
        ("vllm serve /m --max-model-lenght 5", "--max-model-len"),
    ],
)
def test_an_unknown_flag_names_the_nearest(command: str, meant: str) -> None:
    (told,) = ENGINES[engine_of(command.split())].check(command.split())
    assert f"Flags like it: {meant}" in told


def test_a_flag_does_not_command_the_terminal() -> None:
    (told,) = ENGINES["vllm"].check(["vllm", "serve", "/m", "--\x1b]0;owned\x07\n"])
    assert told.isprintable()
    assert r"\x1b]0;owned\x07\n" in told


def test_a_command_that_no_system_starts_is_refused() -> None:
    for words in (["--ax"] * 3000, ["x" * 200_000], [f"--a{'.b' * 2000}=c"]):
        assert ENGINES["vllm"].check(["vllm", "serve", "/m", *words])
