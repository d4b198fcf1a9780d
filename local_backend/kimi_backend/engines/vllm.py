"""vLLM.

Flags as in the parser of vLLM 0.33.0; what they mean together as in its `EngineArgs.create_engine_config` and `ParallelConfig`:
each group of data-parallel attention is an engine with ranks of its own, experts are laid over all of them, and limits on requests
are per group. The layouts are those of the K2 recipe in its source distribution (recipes/models/moonshotai/Kimi-K2-Instruct.yaml).
"""

from __future__ import annotations

from dataclasses import replace

from ..launch import Invocation, KVType, Launch, Node, Site
from .base import Traits
from .command import CommandEngine, Start
from .compare import number, text
from .flags import FlagError, Parsed
from .legal import check_launch, check_site, running_per_group
from .network import network_env, network_of

__all__ = ["DRAIN_SECONDS", "VLLM"]

DRAIN_SECONDS = 120
"""How long requests in flight may take to end after SIGTERM; vLLM's own 0 cuts them off."""
_DRAIN_FLAG = "--shutdown-timeout"
_KV: dict[str, KVType] = {"auto": "bf16", "bfloat16": "bf16", "fp8": "fp8", "fp8_e4m3": "fp8"}


class VLLM(CommandEngine):
    """Tensor parallelism, pipeline stages, data-parallel attention and decode context parallelism, without Ray.

    `low_latency` is --performance-mode. The all-to-all of experts stays vLLM's default: the two DeepEP modes serve either prefill
    or decoding well, not an instance that does both. `/health` asks whether the process lives, not whether it can compute.
    """

    name = "vllm"
    snapshot = "vllm"
    harmless = frozenset(
        {
            *("uvicorn_log_level", "disable_uvicorn_access_log", "enable_log_requests", "enable_log_outputs", "max_log_len"),
            *("disable_log_stats", "all2all_backend", "shutdown_timeout", "seed", "download_dir", "enable_prompt_tokens_details"),
        }
    )
    api_key_variable = "VLLM_API_KEY"
    drain_flag = _DRAIN_FLAG
    traits = Traits(
        title="vLLM",
        version="0.33.0",
        image="vllm/vllm-openai:v0.33.0",
        fraction=0.90,
        max_fraction=0.95,
        activations_inside=True,
        attention_dp=True,
        expert_parallel=True,
        pipeline=True,
        context_parallel=True,
        disaggregation=False,
        cpu_experts=False,
        activation_bytes=9_100_000_000,
        head_sharded_under_dp=False,
        layers_left_over="before last",
        health_path="/health",
        generating_probe=False,
    )

    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What one node runs; nodes after the first have no server of their own.

        Raises:
            FlagError: the launch is not one that vLLM starts.
        """
        check_launch(launch, self.name, self.traits)
        check_site(site, node)
        words = ["vllm", "serve", site.model_path, "--served-model-name", site.served_name, "--trust-remote-code"]
        words += [*_layout(launch), *_nodes(launch, site, node), *_limits(launch)]
        words += ["--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"]
        if launch.thinking:
            words += ["--reasoning-parser", "kimi_k2"]
        words += [_DRAIN_FLAG, str(DRAIN_SECONDS), "--host", site.host, "--port", str(site.port)]
        return Invocation(argv=tuple(words), env=network_env(site))

    def guess(self, head: Parsed, invocation: Invocation) -> Start:
        """What the head's command seems to start.

        Raises:
            FlagError: a flag is missing without which there is nothing to guess.
        """
        groups, group = number(head, "data_parallel_size"), number(head, "tensor_parallel_size")
        pp, nodes = number(head, "pipeline_parallel_size"), _node_count(head, groups)
        gpus = groups * group * pp
        if gpus % nodes:
            raise FlagError(f"{gpus} GPUs are not a whole number on each of {nodes} nodes.")
        kv, fraction = _KV.get(text(head, "kv_cache_dtype")), head.get("gpu_memory_utilization")
        if kv is None or not isinstance(fraction, float):
            raise FlagError("--kv-cache-dtype is auto, bfloat16, fp8 or fp8_e4m3, and --gpu-memory-utilization is a number.")
        launch = Launch(
            engine=self.name,
            nodes=nodes,
            gpus_per_node=gpus // nodes,
            tp=groups * group,
            pp=pp,
            attention_dp=groups,
            ep=groups * group if head.get("enable_expert_parallel") else 1,
            dcp=number(head, "decode_context_parallel_size"),
            context=number(head, "max_model_len"),
            memory_fraction=fraction,
            kv_dtype=kv,
            max_running=None if head.get("max_num_seqs") is None else number(head, "max_num_seqs") * groups,
            thinking=bool(head.get("reasoning_parser")),
            low_latency=head.get("performance_mode") != "throughput",
        )
        return Start(launch=launch, site=_site(head, invocation, nodes))


def _layout(launch: Launch) -> list[str]:
    if launch.ep not in (1, launch.tp):
        raise FlagError(f"vLLM lays experts over one rank or all {launch.tp}, not over {launch.ep}.")
    words = ["--tensor-parallel-size", str(launch.tp // launch.attention_dp)]
    if launch.pp > 1:
        words += ["--pipeline-parallel-size", str(launch.pp)]
    if launch.attention_dp > 1:
        words += ["--data-parallel-size", str(launch.attention_dp)]
    if launch.ep > 1:
        words += ["--enable-expert-parallel"]
    if launch.dcp > 1:
        words += ["--decode-context-parallel-size", str(launch.dcp)]
    return words


def _nodes(launch: Launch, site: Site, node: Node) -> list[str]:
    if launch.nodes == 1:
        return []
    headless = [] if node.is_head else ["--headless"]
    if launch.attention_dp == 1:
        words = ["--nnodes", str(launch.nodes), "--node-rank", node.rank]
        return [*words, "--master-addr", node.head, "--master-port", str(site.rendezvous_port), *headless]
    local, odd = divmod(launch.attention_dp, launch.nodes)
    if odd:
        raise FlagError(
            f"{launch.attention_dp} attention groups do not divide over {launch.nodes} nodes: each must lie in one node."
        )
    words = ["--data-parallel-size-local", str(local), "--data-parallel-address", node.head]
    words += ["--data-parallel-rpc-port", str(site.rendezvous_port)]
    if node.is_head:
        return words  # a head with a start rank would balance its own groups alone
    if not node.rank.isascii() or not node.rank.isdecimal():
        raise FlagError(f"The rank is {node.rank!r}; here it must be a number, since the first group of a node is counted from it.")
    return [*words, *headless, "--data-parallel-start-rank", str(int(node.rank) * local)]


def _limits(launch: Launch) -> list[str]:
    words = ["--max-model-len", str(launch.context), "--gpu-memory-utilization", f"{launch.memory_fraction:.2f}"]
    if launch.kv_dtype == "fp8":
        words += ["--kv-cache-dtype", "fp8"]
    if (each := running_per_group(launch, VLLM.traits.title)) is not None:
        words += ["--max-num-seqs", str(each)]
    return [*words, "--performance-mode", "interactivity" if launch.low_latency else "throughput"]


def _node_count(head: Parsed, groups: int) -> int:
    if groups == 1 or head.get("data_parallel_size_local") is None:
        return max(number(head, "nnodes"), 1)
    local = number(head, "data_parallel_size_local")
    if local < 1 or groups % local:
        raise FlagError(f"--data-parallel-size-local is {local}, which does not divide --data-parallel-size {groups}.")
    return groups // local


def _site(head: Parsed, invocation: Invocation, nodes: int) -> Site:
    names = head.get("served_model_name")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):  # pyright: ignore[reportUnknownArgumentType]
        raise FlagError(f"--served-model-name must be one name; it is {names!r}.")
    interface, infiniband = network_of(invocation.env)
    site = Site(
        model_path=text(head, "model_tag"),
        served_name=names[0],
        host=text(head, "host"),
        port=number(head, "port"),
        interface=interface,
        infiniband=infiniband,
    )
    if nodes == 1:
        return site
    alone = head.get("data_parallel_address") is None
    address, port = ("master_addr", "master_port") if alone else ("data_parallel_address", "data_parallel_rpc_port")
    return replace(site, addresses=(text(head, address),), rendezvous_port=number(head, port))
