"""What no engine starts is refused when it is written; what the nodes do not agree on, when it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from engine_launches import commands, with_value, with_words, without
from kimi_backend.engines import ENGINES, FlagError, engine, engine_of
from kimi_backend.errors import BackendError
from kimi_backend.launch import CPUExperts, Invocation, Launch, Node, Site

SITE = Site(model_path="/models/K2")
TP16 = Launch(engine="sglang", nodes=2, gpus_per_node=8, tp=16, context=131_072, memory_fraction=0.9)
VLLM = replace(TP16, engine="vllm")
VLLM_DP = replace(VLLM, attention_dp=16, ep=16, max_running=4096)
TRT = replace(TP16, engine="tensorrt-llm")
ON_CPUS = CPUExperts(gpu_experts=8, threads=96, numa_nodes=2, method="RAWINT4")
KT = replace(TP16, engine="ktransformers", nodes=1, gpus_per_node=2, tp=2, cpu_experts=ON_CPUS)


@pytest.mark.parametrize(
    ("launch", "told"),
    [
        (replace(TP16, tp=8), "16, but tp 8 x pp 1 needs 8"),
        (replace(TP16, pp=2), "16, but tp 16 x pp 2 needs 32"),
        (replace(TP16, attention_dp=3), "attention_dp 3"),
        (replace(TP16, ep=5), "ep 5"),
        (replace(TP16, context=0), "1 or more"),
        (replace(TP16, max_running=0), "1 or more"),
        (replace(TP16, memory_fraction=0.905), "two digits"),
        (replace(TP16, memory_fraction=1.0), "0.01 to 0.99"),
        (replace(TP16, memory_fraction=float("nan")), "0.01 to 0.99"),
        (replace(TP16, attention_dp=16, ep=16, max_running=16_385), "take 16384 or fewer"),
        (replace(TP16, dcp=8), "SGLang is not started with decode context parallelism"),
        (replace(TP16, cpu_experts=ON_CPUS), "experts on the CPUs"),
        (replace(VLLM, role="prefill"), "vLLM is not started with prefill-decode disaggregation"),
        (replace(VLLM, ep=4), "one rank or all 16"),
        (replace(VLLM, dcp=3), "dcp 3"),
        (replace(VLLM, attention_dp=2, dcp=16), "the 8 ranks of an attention group"),
        (replace(VLLM, nodes=4, gpus_per_node=4, attention_dp=2), "each must lie in one node"),
        (replace(VLLM_DP, max_running=100), "take 96 or 112"),
        (replace(VLLM_DP, max_running=3), ": take 16."),
        (replace(TRT, attention_dp=4), "all 16 ranks or none"),
        (replace(TRT, thinking=True), "No reasoning parser"),
        (replace(TRT, attention_dp=16, max_running=100), "take 96 or 112"),
        (replace(KT, cpu_experts=None), "experts on its CPUs"),
        (replace(KT, nodes=2, tp=4), "on one node"),
        (replace(KT, attention_dp=2), "KTransformers is not started with data-parallel attention"),
        (replace(KT, cpu_experts=replace(ON_CPUS, method="AMXINT4")), "kt quant"),
        (replace(KT, cpu_experts=replace(ON_CPUS, threads=1)), "each NUMA node needs a thread"),
    ],
)
def test_launches_that_no_engine_starts(launch: Launch, told: str) -> None:
    with pytest.raises(FlagError) as caught:
        commands(launch, SITE)
    assert told in str(caught.value)


def test_a_launch_is_for_one_engine() -> None:
    with pytest.raises(FlagError, match="for vllm, not for sglang"):
        engine("sglang").invocation(VLLM, SITE, Node(rank="0", head="a", is_head=True))


@pytest.mark.parametrize(
    ("site", "told"),
    [
        ({"model_path": "--config=/tmp/evil.yaml"}, "begin with a minus"),
        ({"model_path": ""}, "must not be empty"),
        ({"model_path": "/models/K2\0"}, "NUL"),
        ({"served_name": "-x"}, "begin with a minus"),
        ({"host": "--api-key"}, "begin with a minus"),
        ({"interface": ""}, "must not be empty"),
        ({"infiniband": ("mlx5_0,mlx5_1",)}, "comma"),
        ({"port": 0}, "1 to 65535"),
        ({"rendezvous_port": 70_000}, "1 to 65535"),
        ({"port": 20_000}, "choose another"),
    ],
)
@pytest.mark.parametrize("launch", [TP16, VLLM, TRT, KT], ids=lambda launch: launch.engine)
def test_sites_that_no_command_carries(launch: Launch, site: dict[str, Any], told: str) -> None:
    with pytest.raises(FlagError, match=told):
        commands(launch, replace(SITE, **site))


@pytest.mark.parametrize("node", [{"rank": "-1"}, {"head": "--x"}, {"head": ""}])
def test_nodes_that_no_command_carries(node: dict[str, str]) -> None:
    with pytest.raises(FlagError):
        engine("sglang").invocation(TP16, SITE, Node(**{"rank": "0", "head": "a", "is_head": True, **node}))


def test_served_names_of_sglang_have_no_colon() -> None:
    with pytest.raises(FlagError, match="colon"):
        commands(TP16, replace(SITE, served_name="kimi:k2"))
    assert commands(VLLM, replace(SITE, served_name="kimi:k2"))


def test_errors_are_the_backends() -> None:
    assert issubclass(FlagError, BackendError)
    for wrong in ("torch", ""):
        with pytest.raises(FlagError, match="There is no engine"):
            engine(wrong)  # type: ignore[arg-type]
    with pytest.raises(FlagError, match=r"started by 'python3 -m http.server'"):
        engine_of(["python3", "-m", "http.server"])


Spoil = Callable[[Invocation], Invocation]


def spoiled(launch: Launch, rank: int, change: Spoil) -> list[Invocation]:
    """The commands of a launch, one of them changed."""
    return [change(command) if at == rank else command for at, command in enumerate(commands(launch, SITE))]


def more(*words: str) -> Spoil:
    return lambda command: with_words(command, *words)


def value(flag: str, new: str) -> Spoil:
    return lambda command: with_value(command, flag, new)


def less(*words: str) -> Spoil:
    return lambda command: without(command, words)


@pytest.mark.parametrize(
    ("launch", "rank", "change", "told"),
    [
        pytest.param(TP16, 1, value("--node-rank", "0"), "Node 1.*--node-rank is 0, not 1", id="rank twice"),
        pytest.param(TP16, 0, value("--node-rank", "1"), "Node 0.*--node-rank is 1, not 0", id="no rank 0"),
        pytest.param(TP16, 1, value("--mem-fraction-static", "0.80"), "--mem-fraction-static is 0.8, not 0.9", id="other fraction"),
        pytest.param(TP16, 1, value("--dist-init-addr", "b:20000"), "--dist-init-addr", id="other head"),
        pytest.param(TP16, 1, value("--model-path", "/other"), "--model-path", id="other model"),
        pytest.param(TP16, 0, value("--tp-size", "15"), "15 GPUs .* not a whole number", id="15 GPUs on two nodes"),
        pytest.param(TP16, 0, value("--nnodes", "4"), "for 4 nodes; there are 2", id="four nodes"),
        pytest.param(TP16, 0, value("--nnodes", "0"), "not a whole number", id="no nodes"),
        pytest.param(TP16, 0, more("--kv-cache-dtype", "fp8_e5m2"), "fp8_e5m2", id="e5m2"),
        pytest.param(TP16, 0, less("--context-length", "131072"), "must say context_length", id="no context"),
        pytest.param(TP16, 0, less("--trust-remote-code"), "--trust-remote-code is False, not True", id="no trust"),
        pytest.param(TP16, 1, more("--enable-eplb"), "--enable-eplb is True", id="one node rebalances"),
        pytest.param(TP16, 0, more("--dcp-size", "8"), "--dcp-size is 8, not 1", id="what no launch says"),
        pytest.param(TP16, 0, more("--ep-size", "16", "--moe-a2a-backend", "deepep"), "--moe-a2a-backend", id="half a wide layout"),
        pytest.param(TP16, 0, more("--no-such-flag"), "no-such-flag", id="unknown flag"),
        pytest.param(TP16, 0, value("--tp-size", "sixteen"), "sixteen", id="not a number"),
        pytest.param(TP16, 0, more("--config", "more.yaml"), "--config", id="flags out of sight"),
        pytest.param(VLLM, 1, less("--headless"), "--headless is False, not True", id="two servers"),
        pytest.param(VLLM, 0, more("--headless"), "Node 0.*--headless is True, not False", id="no server"),
        pytest.param(VLLM, 1, value("--master-addr", "b"), "--master-addr", id="other master"),
        pytest.param(VLLM, 0, more("--quantization", "fp8"), "--quantization", id="quantised again"),
        pytest.param(
            VLLM_DP, 1, value("--data-parallel-start-rank", "4"), "--data-parallel-start-rank is 4, not 8", id="start rank"
        ),
        pytest.param(VLLM_DP, 0, value("--data-parallel-size-local", "5"), "does not divide", id="five of sixteen"),
        pytest.param(VLLM_DP, 0, more("--data-parallel-start-rank", "0"), "--data-parallel-start-rank is 0", id="head alone"),
        pytest.param(VLLM_DP, 1, less("--enable-expert-parallel"), "--enable-expert-parallel", id="experts on one node"),
        pytest.param(TRT, 1, value("--tp_size", "8"), "Node 1.*tensor_parallel_size is 8, not 16", id="world of eight"),
        pytest.param(TRT, 0, value("--gpus_per_node", "3"), "whole number of nodes of 3", id="three a node"),
        pytest.param(TRT, 0, value("--config", "other.yaml"), "must name trtllm.yaml", id="other file"),
        pytest.param(KT, 0, value("--kt-method", "AMXINT4"), "--kt-method is 'AMXINT4'", id="converted experts"),
        pytest.param(KT, 0, value("--kt-weight-path", "/other"), "--kt-weight-path", id="other experts"),
        pytest.param(KT, 0, less("--kt-cpuinfer", "96"), "must say kt_cpuinfer", id="no threads"),
    ],
)
def test_commands_that_do_not_belong_together(launch: Launch, rank: int, change: Spoil, told: str) -> None:
    with pytest.raises(FlagError, match=told):
        ENGINES[launch.engine].read(spoiled(launch, rank, change))


def test_the_order_of_nodes_counts() -> None:
    for launch in (TP16, VLLM, VLLM_DP):
        with pytest.raises(FlagError):
            ENGINES[launch.engine].read(commands(launch, SITE)[::-1])


@pytest.mark.parametrize("launch", [TP16, VLLM, TRT], ids=lambda launch: launch.engine)
def test_all_nodes_are_there_and_no_more(launch: Launch) -> None:
    written = commands(launch, SITE)
    for wrong in ([], written[:1], [*written, written[1]]):
        with pytest.raises(FlagError):
            ENGINES[launch.engine].read(wrong)


def test_nodes_use_the_same_network() -> None:
    one, other = commands(TP16, replace(SITE, interface="bond0"))
    with pytest.raises(FlagError, match=r"Node 1.*GLOO_SOCKET_IFNAME is 'eth0', not 'bond0'"):
        engine("sglang").read([one, replace(other, env={**other.env, "GLOO_SOCKET_IFNAME": "eth0"})])


def test_keys_are_never_told() -> None:
    with pytest.raises(FlagError) as caught:
        engine("sglang").read(spoiled(TP16, 0, more("--api-key", "s3cret")))
    assert "must not be on the command line" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("launch", "words"), [(TP16, ("--log-level", "debug")), (VLLM, ("--disable-log-stats",))])
def test_flags_that_change_nothing_may_be_added(launch: Launch, words: tuple[str, ...]) -> None:
    assert ENGINES[launch.engine].read(spoiled(launch, 1, more(*words))) == launch


def test_flags_that_may_be_added_are_flags() -> None:
    for each in ENGINES.values():
        assert not {dest for dest in each.harmless if each.parser().option(dest) is None}, each.name


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("/usr/bin/python3.12 -m sglang.launch_server", "sglang"),
        ("sglang serve --tp 8", "sglang"),
        ("python -m sglang.launch_server --kt-method FP8", "ktransformers"),
        ("/opt/venv/bin/vllm serve /models/K2", "vllm"),
        ("trtllm-serve /models/K2", "tensorrt-llm"),
    ],
)
def test_an_engine_is_known_by_its_command(words: str, name: str) -> None:
    assert engine_of(words.split()) == name


def test_defaults_may_be_spelled_out() -> None:
    assert (
        engine("sglang").read(spoiled(TP16, 0, more("--pp-size", "1", "--stream-interval", "1", "--kv-cache-dtype", "auto")))
        == TP16
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kv_cache_config: [", "no YAML"),
        ("", "the file"),
        ("kv_cache_config: {dtype: fp8}", "free_gpu_memory_fraction"),
        ("kv_cache_config: {dtype: nvfp4, free_gpu_memory_fraction: 0.9}", "dtype"),
        ("kv_cache_config: {dtype: auto, free_gpu_memory_fraction: 0.9}\nmoe_config: {backend: CUTLASS}", "moe_config"),
        ("kv_cache_config: {dtype: auto, free_gpu_memory_fraction: '0.9'}", "free_gpu_memory_fraction"),
    ],
)
def test_files_of_tensorrt_llm_that_no_plan_has(text: str, told: str) -> None:
    written = [replace(command, files={"trtllm.yaml": text}) for command in commands(TRT, SITE)]
    with pytest.raises(FlagError, match=told):
        engine("tensorrt-llm").read(written)


def test_files_of_tensorrt_llm_may_differ_in_form_only() -> None:
    text = "# mine\nstream_interval: 1\nkv_cache_config: {free_gpu_memory_fraction: 0.9, dtype: auto}\n"
    one, other = commands(TRT, SITE)
    assert engine("tensorrt-llm").read([one, replace(other, files={"trtllm.yaml": text})]) == TRT
    with pytest.raises(FlagError, match=r"Node 1.*trtllm.yaml says something else"):
        engine("tensorrt-llm").read([one, replace(other, files={"trtllm.yaml": text.replace("0.9", "0.8")})])
