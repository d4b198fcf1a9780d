"""What every engine refuses to write: launches that fit no engine, this engine, or no command line."""

from __future__ import annotations

from ..launch import EngineName, Launch, Node, Site
from .base import Traits
from .flags import FlagError

__all__ = ["check_launch", "check_site", "check_word", "running_per_group"]


def check_word(what: str, value: str) -> str:
    """The value, if a command line can carry it as one word that no parser takes for an option.

    Raises:
        FlagError: it is empty, begins with a minus sign, or holds a NUL.
    """
    if not value or value.startswith("-") or "\0" in value:
        raise FlagError(f"{what} is {value!r}: it must not be empty, begin with a minus sign or hold a NUL.")
    return value


def check_site(site: Site, node: Node) -> None:
    """Checks what goes from a site into words of their own.

    Raises:
        FlagError: a value that no command line carries, or ports that collide or do not exist.
    """
    for what, value in (
        ("the model path", site.model_path),
        ("the served name", site.served_name),
        ("the host", site.host),
        ("the rank", node.rank),
        ("the head's address", node.head),
        *(("the network interface", name) for name in (site.interface,) if name is not None),
        *(("an InfiniBand device", name) for name in site.infiniband),
    ):
        check_word(what, value)
    for device in site.infiniband:
        if "," in device:
            raise FlagError(f"The InfiniBand device {device!r} has a comma in its name: name each device by itself.")
    if not (1 <= site.port <= 65535 and 1 <= site.rendezvous_port <= 65535):
        raise FlagError(f"Ports are 1 to 65535; these are {site.port} and {site.rendezvous_port}.")
    if site.port == site.rendezvous_port:
        raise FlagError(f"The server's port {site.port} is the rendezvous port, too: choose another.")


def check_launch(launch: Launch, name: EngineName, traits: Traits) -> None:
    """Checks that the numbers agree with each other, and that the engine can do what they ask for.

    Raises:
        FlagError: which number is wrong, or what the engine cannot do.
    """
    if launch.engine != name:
        raise FlagError(f"This launch is for {launch.engine}, not for {name}.")
    _check_numbers(launch)
    _check_parallelism(launch)
    for asked, able, what in (
        (launch.attention_dp > 1, traits.attention_dp, "data-parallel attention"),
        (launch.ep > 1, traits.expert_parallel, "expert parallelism"),
        (launch.pp > 1, traits.pipeline, "pipeline stages"),
        (launch.dcp > 1, traits.context_parallel, "decode context parallelism"),
        (launch.role != "serve", traits.disaggregation, "prefill-decode disaggregation"),
        (launch.cpu_experts is not None, traits.cpu_experts, "experts on the CPUs"),
    ):
        if asked and not able:
            raise FlagError(f"{traits.title} is not started with {what} here.")


def _check_numbers(launch: Launch) -> None:
    counts = (launch.nodes, launch.gpus_per_node, launch.tp, launch.pp, launch.attention_dp, launch.ep, launch.dcp)
    if min(*counts, launch.context, launch.max_running or 1) < 1 or launch.max_running == 0:
        raise FlagError("Sizes, the context and the number of running requests are 1 or more.")
    if not 0.01 <= launch.memory_fraction <= 0.99 or round(launch.memory_fraction, 2) != launch.memory_fraction:
        raise FlagError(f"The memory fraction is {launch.memory_fraction}; it is 0.01 to 0.99, two digits after the point.")


def _check_parallelism(launch: Launch) -> None:
    gpus = launch.nodes * launch.gpus_per_node
    if gpus != launch.tp * launch.pp:
        raise FlagError(
            f"{launch.nodes} nodes of {launch.gpus_per_node} GPUs are {gpus}, but tp {launch.tp} x pp {launch.pp} "
            f"needs {launch.tp * launch.pp}."
        )
    group = launch.tp // launch.attention_dp
    if launch.tp % launch.attention_dp or launch.tp % launch.ep or group % launch.dcp:
        raise FlagError(
            f"attention_dp {launch.attention_dp} and ep {launch.ep} must divide tp {launch.tp}, "
            f"and dcp {launch.dcp} the {group} ranks of an attention group."
        )


def running_per_group(launch: Launch, title: str) -> int | None:
    """Requests that each group of data-parallel attention computes at once, for engines whose limit is per group.

    Raises:
        FlagError: the limit does not divide over the groups.
    """
    if launch.max_running is None:
        return None
    each, odd = divmod(launch.max_running, launch.attention_dp)
    if odd:
        fitting = [str(n * launch.attention_dp) for n in (each, each + 1) if n]
        raise FlagError(
            f"{title} limits the requests of each of {launch.attention_dp} attention groups, which cannot be "
            f"{launch.max_running} in all: take {' or '.join(fitting)}."
        )
    return each
