"""What was written out, read back to launches: also after a person edited it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..engines import FlagError, engine, engine_of
from ..engines.router import Router
from ..engines.router import read as read_router
from ..launch import Launch, Site
from .commands import read_commands
from .compose_read import read_compose
from .errors import RenderError
from .found import Found
from .instances import UNKNOWN
from .kubernetes_read import read_kubernetes
from .options import Target
from .slurm_read import read_slurm
from .systemd import read_systemd

__all__ = ["ReadBack", "read_back"]

READERS: dict[Target, Callable[[Mapping[str, str]], tuple[list[Found], Found | None]]] = {
    "commands": read_commands,
    "slurm": read_slurm,
    "kubernetes": read_kubernetes,
    "compose": read_compose,
    "systemd": read_systemd,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What files would start."""

    instances: tuple[Launch, ...]
    site: Site
    """As far as the files tell: of the addresses the heads only, and none that a target finds out when it runs. Kubernetes'
    key file is the Secret's place in the pod."""
    router: Router | None = None
    """The router before several instances."""


def read_back(target: Target, files: Mapping[str, str]) -> ReadBack:
    """The launches that files of a target would start. Nothing of them is run; each flag is checked as the engine would.

    Args:
        target: which form the files have.
        files: texts by name, as `render` gave them.

    Raises:
        RenderError: files that are missing, or no longer of our form, or GPUs that do not fit the command.
        FlagError: the engine's own parser would refuse a flag, or the nodes of an instance do not belong together.
    """
    found, router = READERS[target](files)
    if len(found) > 1 and router is None:
        raise RenderError(f"There are {len(found)} instances and no router before them.")
    started = [_start(one) for one in found]
    heads = tuple(head for _, site in started for head in site.addresses if not head.endswith(UNKNOWN))
    site = replace(started[0][1], addresses=heads, image=found[0].image, api_key_file=found[0].key_file)
    if router is None:
        return ReadBack(instances=tuple(launch for launch, _ in started), site=site)
    front = read_router(router.invocations[0])
    return ReadBack(instances=tuple(launch for launch, _ in started), site=replace(site, host=front.host), router=front)


def _start(found: Found) -> tuple[Launch, Site]:
    try:
        start = engine(engine_of(found.invocations[0].argv)).read_start(found.invocations)
    except FlagError as problem:
        raise FlagError(f"{found.where}: {problem}") from problem
    if found.gpus is not None and found.gpus != start.launch.gpus_per_node:
        raise RenderError(
            f"{found.where}: a node is given {found.gpus} GPUs, its command needs {start.launch.gpus_per_node}; make them equal."
        )
    return start.launch, start.site
