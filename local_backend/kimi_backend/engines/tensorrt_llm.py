"""TensorRT-LLM: one MPI world, and a YAML file beside the command.

Flags as in `trtllm-serve` (TensorRT-LLM, tensorrt_llm/commands/serve.py); what goes into the file as in its curated
examples/configs/curated/kimi-k2-thinking.yaml. The share of memory stands in the file and not on the command line, because a
`kv_cache_config` in the file replaces what the command line says of the cache. With attention DP the limit of running requests is
per rank (`py_executor`: the total is tp_size times it). `trtllm-serve` takes no key and no served name: it goes by the name of the
model's folder.
"""

from __future__ import annotations

from dataclasses import replace

from ..launch import Invocation, Launch, Node, Site
from .base import Traits
from .command import CommandEngine, Start
from .compare import number, text
from .flags import FlagError, Parsed
from .legal import check_launch, check_site, running_per_group
from .network import network_env, network_of
from .sglang_like import THROUGHPUT_STREAM_INTERVAL
from .tensorrt_llm_config import Config, read_config, write_config

__all__ = ["CONFIG", "TensorRTLLM"]

CONFIG = "trtllm.yaml"
"""The file's name, as the command names it."""


class TensorRTLLM(CommandEngine):
    """Tensor parallelism, pipeline stages, expert parallelism, and attention that is data-parallel on all ranks or none.

    All ranks of an MPI world run the same words, so a node's command has no rank. Prompts are computed in chunks: without that,
    one that is longer than --max_num_tokens (8192) is refused, whatever the context.
    """

    name = "tensorrt-llm"
    snapshot = "tensorrt-llm"
    harmless = frozenset({"log_level", "num_postprocess_workers"})
    mpi = True
    traits = Traits(
        title="TensorRT-LLM",
        version="1.2",
        image="nvcr.io/nvidia/tensorrt-llm/release:1.2.1",
        fraction=0.90,
        max_fraction=0.95,
        activations_inside=False,
        attention_dp=True,
        expert_parallel=True,
        pipeline=True,
        context_parallel=False,
        disaggregation=False,
        cpu_experts=False,
        fraction_of_free=True,
        head_sharded_under_dp=False,
        layers_left_over="first",
        health_path="/health",
        generating_probe=False,
    )

    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What every rank runs.

        Raises:
            FlagError: the launch is not one that TensorRT-LLM starts.
        """
        check_launch(launch, self.name, self.traits)
        check_site(site, node)
        if launch.attention_dp not in (1, launch.tp):
            raise FlagError(
                f"TensorRT-LLM makes attention data-parallel on all {launch.tp} ranks or none, not in {launch.attention_dp} groups."
            )
        if launch.thinking:
            raise FlagError("No reasoning parser for Kimi is known in TensorRT-LLM: take SGLang or vLLM for a thinking model.")
        world = ["trtllm-llmapi-launch"] if launch.nodes > 1 else []
        words = [*world, "trtllm-serve", site.model_path, "--backend", "pytorch", "--trust_remote_code", *_layout(launch)]
        words += ["--max_seq_len", str(launch.context), "--enable_chunked_prefill", *_limit(launch), "--tool_parser", "kimi_k2"]
        words += ["--config", CONFIG, "--host", site.host, "--port", str(site.port)]
        return Invocation(argv=tuple(words), env=_env(site), files={CONFIG: write_config(_config(launch))})

    def guess(self, head: Parsed, invocation: Invocation) -> Start:
        """What the command seems to start.

        Raises:
            FlagError: a flag or the file is missing without which there is nothing to guess.
        """
        config = _read_file(head, invocation)
        tp, pp, gpus = number(head, "tensor_parallel_size"), number(head, "pipeline_parallel_size"), number(head, "gpus_per_node")
        if gpus < 1 or tp * pp % gpus:
            raise FlagError(f"{tp * pp} GPUs are not a whole number of nodes of {gpus}.")
        groups = tp if config.enable_attention_dp else 1
        launch = Launch(
            engine=self.name,
            nodes=tp * pp // gpus,
            gpus_per_node=gpus,
            tp=tp,
            pp=pp,
            attention_dp=groups,
            ep=number(head, "moe_expert_parallel_size"),
            context=number(head, "max_seq_len"),
            memory_fraction=config.free_gpu_memory_fraction,
            kv_dtype="fp8" if config.dtype == "fp8" else "bf16",
            max_running=number(head, "max_batch_size") * groups if "max_batch_size" in head.given else None,
            low_latency=config.stream_interval == 1,
        )
        interface, infiniband = network_of(invocation.env)
        site = Site(model_path=text(head, "model"), host=text(head, "host"), port=number(head, "port"))
        return Start(launch=launch, site=replace(site, interface=interface, infiniband=infiniband))

    def different_files(self, expected: Invocation, invocation: Invocation) -> list[str]:
        """Whether both files say the same."""
        same = read_config(expected.files[CONFIG]) == read_config(invocation.files.get(CONFIG, ""))
        return [] if same else [f"{CONFIG} says something else"]


def _layout(launch: Launch) -> list[str]:
    words = ["--tp_size", str(launch.tp), "--pp_size", str(launch.pp), "--ep_size", str(launch.ep)]
    return [*words, "--gpus_per_node", str(launch.gpus_per_node)]


def _limit(launch: Launch) -> list[str]:
    each = running_per_group(launch, TensorRTLLM.traits.title)
    return [] if each is None else ["--max_batch_size", str(each)]


def _config(launch: Launch) -> Config:
    return Config(
        enable_attention_dp=launch.attention_dp > 1,
        dtype="fp8" if launch.kv_dtype == "fp8" else "auto",
        free_gpu_memory_fraction=launch.memory_fraction,
        stream_interval=1 if launch.low_latency else THROUGHPUT_STREAM_INTERVAL,
    )


def _env(site: Site) -> dict[str, str]:
    env = network_env(site)
    if site.interface is not None:
        # Open MPI's own sockets, without which it tries every interface, Docker's too
        env |= {f"OMPI_MCA_{part}_tcp_if_include": site.interface for part in ("btl", "oob")}
    return env


def _read_file(head: Parsed, invocation: Invocation) -> Config:
    name = head.get("extra_llm_api_options")
    if name != CONFIG or CONFIG not in invocation.files:
        raise FlagError(f"The command must name {CONFIG} with --config, and the file must be there; it names {name!r}.")
    return read_config(invocation.files[CONFIG])
