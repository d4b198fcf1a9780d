"""KTransformers: experts on the CPUs, the rest on the GPUs, of one node.

It is served by sglang-kt, a fork that is installed instead of SGLang. Flags as in the parser of sglang-kt 0.7.2, which follows an
SGLang older than 0.5.23 and has no --attn-dp-size. Its published example for K2-Thinking: two 48 GB cards,
--kt-num-gpu-experts 8 --tensor-parallel-size 2, RAWINT4 experts.
"""

from __future__ import annotations

from typing import Literal

from ..launch import CPUExperts, Invocation, Launch, Node, Site
from . import sglang_like as like
from .base import Traits
from .command import CommandEngine, Start
from .compare import number, text
from .flags import FlagError, Parsed
from .legal import check_launch, check_site

__all__ = ["KTransformers"]

_AS_THEY_ARE: dict[str, Literal["RAWINT4", "FP8", "BF16"]] = {"RAWINT4": "RAWINT4", "FP8": "FP8", "BF16": "BF16"}
"""Methods that read the experts from the checkpoint; the AMX ones read a folder of converted weights."""


class KTransformers(CommandEngine):
    """One node whose CPUs compute the experts that the GPUs do not hold."""

    name = "ktransformers"
    snapshot = "sglang-kt"
    harmless = like.HARMLESS | {
        "kt_max_deferred_experts_per_token",
        "kt_gpu_prefill_token_threshold",
        "kt_expert_placement_strategy",
    }
    api_key_config = "--config"
    traits = Traits(
        title="KTransformers",
        version="0.7.2",
        image="",
        fraction=0.90,
        max_fraction=0.95,
        activations_inside=False,
        attention_dp=False,
        expert_parallel=False,
        pipeline=False,
        context_parallel=False,
        disaggregation=False,
        cpu_experts=True,
        health_path="/health_generate",
        generating_probe=True,
    )

    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What the node runs.

        Raises:
            FlagError: the launch is not one that KTransformers starts.
        """
        check_launch(launch, self.name, self.traits)
        check_site(site, node)
        experts = launch.cpu_experts
        if experts is None or launch.nodes != 1:
            raise FlagError("KTransformers is started on one node, with experts on its CPUs: set cpu_experts, or take SGLang.")
        return like.server([*like.common(launch, site), "--tensor-parallel-size", str(launch.tp), *_experts(experts, site)], site)

    def guess(self, head: Parsed, invocation: Invocation) -> Start:
        """What the command seems to start.

        Raises:
            FlagError: a flag is missing without which there is nothing to guess.
        """
        method = _AS_THEY_ARE.get(text(head, "kt_method"))
        if method is None:
            raise FlagError(f"--kt-method is {head.get('kt_method')!r}; it is one of {', '.join(_AS_THEY_ARE)}.")
        experts = CPUExperts(
            gpu_experts=number(head, "kt_num_gpu_experts"),
            threads=number(head, "kt_cpuinfer"),
            numa_nodes=number(head, "kt_threadpool_count"),
            method=method,
        )
        tp = number(head, "tensor_parallel_size")
        launch = Launch(engine=self.name, nodes=1, gpus_per_node=tp, tp=tp, context=1, memory_fraction=0.5, cpu_experts=experts)
        return like.common_guess(head, invocation, launch)


def _experts(experts: CPUExperts, site: Site) -> list[str]:
    if experts.method not in _AS_THEY_ARE:
        raise FlagError(
            f"{experts.method} needs experts that `kt quant` has converted into a folder of their own, which a site cannot name: "
            f"take one of {', '.join(_AS_THEY_ARE)}, which read the checkpoint."
        )
    if experts.gpu_experts < 0 or experts.numa_nodes < 1 or experts.threads < experts.numa_nodes:
        raise FlagError(
            f"{experts.threads} threads on {experts.numa_nodes} NUMA nodes with {experts.gpu_experts} experts on the GPUs: "
            "each NUMA node needs a thread, and the number of experts is not negative."
        )
    words = ["--kt-weight-path", site.model_path, "--kt-method", experts.method, "--kt-cpuinfer", str(experts.threads)]
    return [*words, "--kt-threadpool-count", str(experts.numa_nodes), "--kt-num-gpu-experts", str(experts.gpu_experts)]
