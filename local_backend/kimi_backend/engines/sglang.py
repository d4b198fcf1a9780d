"""SGLang: the default engine.

Flags as in the parser of SGLang 0.5.23; what they need of each other as in its `arg_groups` (an expert-parallel all-to-all spans
all ranks of a stage, a served name has no colon, `auto` is DeepEP's low-latency mode for decoding and its normal mode for prefill).
The set of flags for 16 GPUs is Moonshot's deployment guide for K2, brought up to that version. DeepEP's buffers hold as many
tokens of a rank as SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK says (layers/moe/token_dispatcher/deepep.py); its variables for
the fabric (NVSHMEM_IB_GID_INDEX is for RoCE alone) are left to whoever knows that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..launch import Invocation, Launch, Node, Role, Site
from . import sglang_like as like
from .base import Traits
from .command import CommandEngine, Start
from .compare import number
from .flags import FlagError, Parsed
from .legal import check_launch, check_site

__all__ = ["BOOTSTRAP_PORT", "SGLang"]

BOOTSTRAP_PORT = 8998
"""Port on which a prefill instance tells decode instances where its cache is: SGLang's --disaggregation-bootstrap-port."""
_DISPATCH_DEFAULT, _DISPATCH_MOST = 128, 1024
_DP_PORTS = 6
_DEEPEP_MODE: dict[Role, Literal["auto", "normal", "low_latency"]] = {"serve": "auto", "prefill": "normal", "decode": "low_latency"}


class SGLang(CommandEngine):
    """Plain tensor parallelism, pipeline stages, data-parallel attention, and prefill-decode disaggregation.

    `low_latency` is the number of tokens that are streamed together. A wide layout (every rank has experts of its own, and
    attention is data-parallel) sends tokens with DeepEP, in the mode that fits the role.
    """

    name = "sglang"
    snapshot = "sglang"
    harmless = like.HARMLESS
    api_key_config = "--config"
    traits = Traits(
        title="SGLang",
        version="0.5.23",
        image="lmsysorg/sglang:v0.5.23",
        fraction=0.90,
        max_fraction=0.95,
        activations_inside=False,
        attention_dp=True,
        expert_parallel=True,
        pipeline=True,
        context_parallel=False,
        disaggregation=True,
        cpu_experts=False,
        wide_requests_per_rank=_DISPATCH_DEFAULT,
        health_path="/health_generate",
        generating_probe=True,
    )

    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What one node runs: the same on all nodes but for the rank.

        Raises:
            FlagError: the launch is not one that SGLang starts.
        """
        check_launch(launch, self.name, self.traits)
        check_site(site, node)
        words = [*like.common(launch, site), *_layout(launch), *like.rendezvous(launch, site, node)]
        if launch.role != "serve":
            words += ["--disaggregation-mode", launch.role]
            if site.infiniband:
                words += ["--disaggregation-ib-device", ",".join(site.infiniband)]
        # Other nodes have a server that only says 200 (entrypoints/engine.py): on the head's address it could not listen, and
        # nobody elsewhere should take it for the engine.
        command = like.server(words, site if node.is_head else replace(site, host="127.0.0.1"))
        return replace(command, env={**command.env, **_dispatch(launch)})

    def more_ports(self, launch: Launch, site: Site) -> dict[int, str]:
        """A prefill side's bootstrap port; with data-parallel attention six behind the rendezvous port (`PortArgs.init_new`)."""
        ports = {BOOTSTRAP_PORT: "SGLang's bootstrap of disaggregation"} if launch.role == "prefill" else {}
        if launch.attention_dp > 1 and launch.nodes > 1:
            first = site.rendezvous_port + (1 if site.rendezvous_port + _DP_PORTS <= 65535 else -1 - _DP_PORTS)
            ports |= dict.fromkeys(range(first, first + _DP_PORTS), "SGLang's data-parallel attention")
        return ports

    def guess(self, head: Parsed, invocation: Invocation) -> Start:
        """What the head's command seems to start.

        Raises:
            FlagError: a flag is missing without which there is nothing to guess.
        """
        mode = head.get("disaggregation_mode")
        launch = Launch(
            engine=self.name,
            role="prefill" if mode == "prefill" else "decode" if mode == "decode" else "serve",
            nodes=1,
            gpus_per_node=1,
            tp=number(head, "tp_size"),
            pp=number(head, "pp_size"),
            attention_dp=number(head, "attn_dp_size"),
            ep=number(head, "ep_size"),
            context=1,
            memory_fraction=0.5,
        )
        return like.common_guess(head, invocation, launch)


def _layout(launch: Launch) -> list[str]:
    words = ["--tp-size", str(launch.tp)]
    if launch.pp > 1:
        words += ["--pp-size", str(launch.pp)]
    if launch.attention_dp > 1:
        # the one dense layer is whole on every rank: its slices would be too thin for the kernels
        words += ["--attn-dp-size", str(launch.attention_dp), "--moe-dense-tp-size", "1"]
    if launch.ep > 1:
        words += ["--ep-size", str(launch.ep)]
    if _deepep(launch):
        words += ["--moe-a2a-backend", "deepep", "--deepep-mode", _DEEPEP_MODE[launch.role]]
    return words


def _deepep(launch: Launch) -> bool:
    return launch.attention_dp > 1 and launch.ep == launch.tp


def _dispatch(launch: Launch) -> dict[str, str]:
    """Room for the tokens that a rank sends to experts while decoding: 128 unless told, and never more than 1024."""
    each = -(-(launch.max_running or 0) // launch.tp)
    if not _deepep(launch) or launch.role == "prefill" or each <= _DISPATCH_DEFAULT:
        return {}
    if each > _DISPATCH_MOST:
        raise FlagError(
            f"{launch.max_running} requests at once are {each} on each of {launch.tp} ranks; DeepEP decodes at most "
            f"{_DISPATCH_MOST} on one: take {_DISPATCH_MOST * launch.tp} or fewer."
        )
    return {"SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(each)}
