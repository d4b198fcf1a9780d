"""The plans that the tests write out: every engine, its usual layouts, one to four nodes, several instances."""

from __future__ import annotations

from dataclasses import replace

from kimi_backend.launch import CPUExperts, EngineName, Launch, Site
from kimi_backend.render import Target


def launch(engine: EngineName = "sglang", *, nodes: int = 2, tp: int = 16, gpus: int = 8) -> Launch:
    return Launch(engine=engine, nodes=nodes, gpus_per_node=gpus, tp=tp, context=131072, memory_fraction=0.9)


EXPERTS = CPUExperts(gpu_experts=8, threads=64, numa_nodes=2, method="RAWINT4")
PLANS: dict[str, tuple[Launch, ...]] = {
    "sglang-tp16": (launch(),),
    "sglang-fp8-thinking": (replace(launch(), kv_dtype="fp8", thinking=True, max_running=64),),
    "sglang-dp16-ep16": (replace(launch(), attention_dp=16, ep=16, max_running=1024, low_latency=False),),
    "sglang-one-node": (launch(nodes=1, tp=8),),
    "sglang-replicas": (launch(nodes=1, tp=8), launch(nodes=1, tp=8)),
    "sglang-prefill-decode": (replace(launch(), role="prefill"), replace(launch(), role="decode", max_running=128)),
    "vllm-tp8-pp2-dcp8": (replace(launch("vllm", tp=8), pp=2, dcp=8, kv_dtype="fp8"),),
    "vllm-dp16-ep16": (replace(launch("vllm"), attention_dp=16, ep=16),),
    "vllm-dp32-four-nodes": (replace(launch("vllm", nodes=4, tp=32), attention_dp=32, ep=32),),
    "vllm-replicas": (launch("vllm", nodes=1, tp=8), launch("vllm", nodes=1, tp=8)),
    "ktransformers": (replace(launch("ktransformers", nodes=1, tp=2, gpus=2), context=32768, cpu_experts=EXPERTS),),
    "tensorrt-llm-one-node": (replace(launch("tensorrt-llm", nodes=1, tp=8), ep=8),),
    "tensorrt-llm-world": (replace(launch("tensorrt-llm"), ep=4),),
}
HARMLESS = "/models/Kimi-K2-Instruct"
NASTY = (
    "/models/Kimi K2 $(touch MARK)`touch MARK` ${HOME} 'q' \"d\" \\ %h %% {{ x }} $(LWS_GROUP_SIZE) &*?~; #é\n- !!python/name\t)"
)
"""Each target reads some of this as more than text; here it names a folder."""
NOT_OF_A_WORLD: tuple[Target, ...] = ("kubernetes", "compose", "systemd")


def site_of(plan: str, *, model_path: str = HARMLESS, key: str | None = None) -> Site:
    """A site with InfiniBand and an address for each node of the plan."""
    count = sum(one.nodes for one in PLANS[plan])
    return Site(
        model_path=model_path,
        addresses=tuple(f"10.0.0.{at + 1}" for at in range(count)),
        interface="bond0",
        infiniband=("mlx5_0", "mlx5_1"),
        image="example.org/ktransformers:1" if plan == "ktransformers" else None,
        api_key_file=key,
    )


def possible(plan: str, target: Target) -> bool:
    """An MPI world has no form where each node starts by itself."""
    return not (plan == "tensorrt-llm-world" and target in NOT_OF_A_WORLD)


COMBINATIONS = [(plan, target) for plan in PLANS for target in ("commands", "slurm", *NOT_OF_A_WORLD) if possible(plan, target)]
