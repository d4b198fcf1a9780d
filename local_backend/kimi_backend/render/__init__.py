"""A plan written out for the machines that run it, and read back: scripts, a Slurm job, Kubernetes, Compose, systemd.

`render` makes texts and touches no disk; `write` puts them into a folder; `read_back` says what such files would start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..launch import Launch, Site
from .commands import write_commands
from .compose import write_compose
from .errors import RenderError
from .fitting import ADDRESSED, check_ports, fitted
from .instances import Instance, instances_of
from .kubernetes import write_kubernetes
from .options import TARGETS, Options, Target
from .reading import ReadBack, read_back
from .rendered import Rendered, write
from .site import check_site
from .slurm import write_slurm
from .systemd import write_systemd

__all__ = ["TARGETS", "Options", "ReadBack", "RenderError", "Rendered", "Target", "read_back", "render", "write"]

WRITERS: dict[Target, Callable[[Sequence[Instance], Site, Options], Rendered]] = {
    "commands": write_commands,
    "slurm": write_slurm,
    "kubernetes": write_kubernetes,
    "compose": write_compose,
    "systemd": write_systemd,
}


def render(instances: Sequence[Launch], site: Site, target: Target, options: Options | None = None) -> Rendered:
    """Write a plan out for one target. The same plan, site and options give the same texts.

    Args:
        instances: one launch for plain serving; several for replicas, or prefill before decode.
        site: where it runs.
        target: which form.
        options: what that form can be told beyond.

    Raises:
        RenderError: the site lacks what the target needs, or has a text that the target cannot carry.
        FlagError: an engine has no flag for what is asked.
    """
    options = options or Options()
    check_site(site)
    site = fitted(site, target, options)
    named = instances_of(instances, site, options, addressed=target in ADDRESSED)
    check_ports(named, site, options, target)
    rendered = WRITERS[target](named, site, options)
    for text in rendered.files.values():
        _carried(text)
    return rendered


def _carried(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise RenderError(f"A text of the site has {problem.object[problem.start]!r}, which UTF-8 cannot carry.") from problem
