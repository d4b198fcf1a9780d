"""The flags that SGLang and its fork with KTransformers share, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..launch import Invocation, KVType, Launch, Node, Site
from .command import Start
from .compare import number, text
from .flags import FlagError, Parsed
from .network import network_env, network_of

__all__ = ["HARMLESS", "PROGRAM", "THROUGHPUT_STREAM_INTERVAL", "common", "common_guess", "rendezvous", "server"]

PROGRAM = ("python3", "-m", "sglang.launch_server")
THROUGHPUT_STREAM_INTERVAL = 10
"""Tokens that are sent together when an engine is tuned for many requests; 1 when it is tuned for few.

SGLang's help: smaller is smoother, larger gives more throughput. 10 is what NVIDIA's example for DeepSeek-R1 takes
(TensorRT-LLM, examples/serve/deepseek_r1_reasoning_parser.sh).
"""
HARMLESS = frozenset(
    {
        *("log_level", "log_level_http", "log_requests", "log_requests_level", "show_time_cost", "decode_log_interval"),
        *("watchdog_timeout", "dist_timeout", "skip_server_warmup", "warmups", "crash_dump_folder", "download_dir"),
        *("enable_request_time_stats_logging", "enable_cache_report", "random_seed"),
    }
)
_KV: dict[str, KVType] = {"auto": "bf16", "bf16": "bf16", "bfloat16": "bf16", "fp8_e4m3": "fp8"}


def common(launch: Launch, site: Site) -> list[str]:
    """Model, memory and parsers. `auto` is the model's own bf16 for the cache.

    Raises:
        FlagError: the name has a colon, which SGLang keeps for adapters.
    """
    if ":" in site.served_name:
        raise FlagError(f"SGLang takes no colon in a served name, and this is {site.served_name!r}.")
    words = ["--model-path", site.model_path, "--served-model-name", site.served_name, "--trust-remote-code"]
    words += ["--context-length", str(launch.context), "--mem-fraction-static", f"{launch.memory_fraction:.2f}"]
    if launch.kv_dtype == "fp8":
        words += ["--kv-cache-dtype", "fp8_e4m3"]
    if launch.max_running is not None:
        words += ["--max-running-requests", str(launch.max_running)]
    if not launch.low_latency:
        words += ["--stream-interval", str(THROUGHPUT_STREAM_INTERVAL)]
    words += ["--tool-call-parser", "kimi_k2"]
    if launch.thinking:
        words += ["--reasoning-parser", "kimi_k2"]
    return words


def rendezvous(launch: Launch, site: Site, node: Node) -> list[str]:
    """How the nodes find each other; nothing where there is one."""
    if launch.nodes == 1:
        return []
    head = f"[{node.head}]" if ":" in node.head and not node.head.startswith("[") else node.head
    return ["--nnodes", str(launch.nodes), "--node-rank", node.rank, "--dist-init-addr", f"{head}:{site.rendezvous_port}"]


def server(words: Sequence[str], site: Site) -> Invocation:
    """The whole command, with metrics, the address of the server, and the network's variables."""
    argv = (*PROGRAM, *words, "--enable-metrics", "--host", site.host, "--port", str(site.port))
    return Invocation(argv=argv, env=network_env(site))


def common_guess(parsed: Parsed, invocation: Invocation, engine: Launch) -> Start:
    """Fills what the common flags say into a launch that has the rest.

    Raises:
        FlagError: a flag is missing, or has a value that no launch of ours has.
    """
    kv = _KV.get(text(parsed, "kv_cache_dtype"))
    if kv is None:
        raise FlagError(f"--kv-cache-dtype is {parsed.get('kv_cache_dtype')!r}; it is auto, bf16, bfloat16 or fp8_e4m3.")
    nodes, gpus = number(parsed, "nnodes"), engine.tp * engine.pp
    if nodes < 1 or gpus % nodes:
        raise FlagError(f"{gpus} GPUs (--tp-size times --pp-size) are not a whole number on each of {nodes} nodes.")
    fraction = parsed.get("mem_fraction_static")
    if not isinstance(fraction, float):
        raise FlagError("The command does not say --mem-fraction-static.")
    launch = replace(
        engine,
        nodes=nodes,
        gpus_per_node=gpus // nodes,
        context=number(parsed, "context_length"),
        memory_fraction=fraction,
        kv_dtype=kv,
        max_running=None if parsed.get("max_running_requests") is None else number(parsed, "max_running_requests"),
        thinking=parsed.get("reasoning_parser") is not None,
        low_latency=parsed.get("stream_interval") == 1,
    )
    return Start(launch=launch, site=_site(parsed, invocation, nodes))


def _site(parsed: Parsed, invocation: Invocation, nodes: int) -> Site:
    interface, infiniband = network_of(invocation.env)
    site = Site(
        model_path=text(parsed, "model_path"),
        served_name=text(parsed, "served_model_name"),
        host=text(parsed, "host"),
        port=number(parsed, "port"),
        interface=interface,
        infiniband=infiniband,
    )
    if nodes == 1:
        return site
    head, colon, port = text(parsed, "dist_init_addr").rpartition(":")
    if not colon or not head or not port.isascii() or not port.isdecimal():
        raise FlagError(f"--dist-init-addr is {parsed.get('dist_init_addr')!r}; it is an address, a colon and a port.")
    return replace(site, addresses=(head,), rendezvous_port=int(port))
