"""The instances of a plan with their names and their nodes, and what each node of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..engines import engine
from ..engines.command import CommandEngine
from ..launch import Invocation, Launch, Node, Role, Site
from .errors import RenderError
from .options import Options
from .site import is_loopback, is_wildcard
from .words import Command, as_it_is, fold

__all__ = ["LABELS", "UNKNOWN", "Instance", "instances_of", "unused"]

LABELS: dict[Role, str] = {"serve": "replica", "prefill": "prefill", "decode": "decode"}
"""What an instance among several is called, in the order in which they stand."""
UNKNOWN = "kimi-backend.invalid"
"""End of the names that stand for addresses which are known only where a command runs (RFC 2606 keeps .invalid free)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One engine of the plan: where it stands among the others, and how to ask for its commands."""

    name: str
    label: str
    """Name among the others, such as prefill-0; empty where it is the only one."""
    launch: Launch
    site: Site
    first: int
    """Number of its head among the nodes of all instances."""
    addresses: tuple[str, ...]
    """Address of each of its nodes, or nothing where the target finds them out when it runs."""
    drain_seconds: int
    """How long requests may still run after a stop was asked for."""

    @property
    def engine(self) -> CommandEngine:
        """What it runs on."""
        return engine(self.launch.engine)

    def node(self, rank: int) -> str:
        """Name of one of its nodes, for files."""
        return f"{self.label}-node{rank}" if self.label else f"node{rank}"

    def literal(self) -> list[Command]:
        """Each rank's command, with the nodes' own addresses."""
        head = self.addresses[0] if self.addresses else "127.0.0.1"
        return [as_it_is(item, rank) for rank, item in enumerate(self._invocations(self.site, head))]

    def folded(self, *, split: bool, host: bool) -> list[Command]:
        """The head's command and the other ranks', or one command where they differ in the rank only.

        Args:
            split: two commands even then.
            host: whether the address that the server listens on is a variable too.

        Raises:
            RenderError: the ranks differ in more than numbers that count up.
        """
        head, listen = unused("head", self.site), unused("host", self.site)
        marks = {head: "head"} | ({listen: "host"} if host else {})
        invocations = self._invocations(replace(self.site, host=listen) if host else self.site, head)
        if not split and (whole := fold(invocations, 0, marks)):
            return [whole]
        parts = [fold(invocations[:1], 0, marks), *([fold(invocations[1:], 1, marks)] if invocations[1:] else [])]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            raise RenderError(f"{self.name}: the ranks' commands differ in more than their number; this target cannot carry that.")
        return found

    def _invocations(self, site: Site, head: str) -> list[Invocation]:
        nodes = [Node(rank=str(rank), head=head, is_head=rank == 0) for rank in range(self.launch.nodes)]
        return [self._draining(self.engine.invocation(self.launch, site, node)) for node in nodes]

    def _draining(self, invocation: Invocation) -> Invocation:
        """The engine's own limit on draining must be the target's, which would else wait for nothing or kill too early."""
        words = list(invocation.argv)
        if self.engine.drain_flag is None:
            return invocation
        words[words.index(self.engine.drain_flag) + 1] = str(self.drain_seconds)
        return replace(invocation, argv=tuple(words))


def unused(name: str, site: Site) -> str:
    """A text that occurs nowhere in the site and may stand for a host: a path that looks like such a mark stays a path."""
    texts = repr(site)
    return next(mark for number in range(len(texts)) if (mark := f"{name}{number}.{UNKNOWN}") not in texts)


def instances_of(launches: Sequence[Launch], site: Site, options: Options, *, addressed: bool) -> list[Instance]:
    """Name the instances and deal out the nodes, in order.

    Args:
        launches: one instance each; prefill before decode.
        site: its addresses are dealt out where `addressed`.
        options: its name is the names' beginning.
        addressed: whether the target needs the addresses of the nodes now.

    Raises:
        RenderError: no instance, or not one address per node.
    """
    if not launches:
        raise RenderError("There is no instance to write out.")
    nodes = sum(launch.nodes for launch in launches)
    if addressed and len(site.addresses) != nodes and not (nodes == 1 and not site.addresses):
        raise RenderError(
            f"The plan has {nodes} nodes and the site {len(site.addresses)} addresses; give one per node, in rank order."
        )
    made: list[Instance] = []
    first = 0
    for launch in launches:
        mine = site.addresses[first : first + launch.nodes] if addressed else ()
        own = _site(site, mine[0] if mine else None, alone=len(launches) == 1)
        label = _label(made, launches)
        name = f"{options.name}-{label}" if label else options.name
        made.append(
            Instance(
                name=name,
                label=label,
                launch=launch,
                site=own,
                first=first,
                addresses=mine,
                drain_seconds=options.drain_seconds,
            )
        )
        first += launch.nodes
    return made


def _label(made: list[Instance], launches: Sequence[Launch]) -> str:
    if len(launches) == 1:
        return ""
    role = launches[len(made)].role
    return f"{LABELS[role]}-{sum(instance.launch.role == role for instance in made)}"


def _site(site: Site, head: str | None, *, alone: bool) -> Site:
    """A server behind a router on another node listens on its node's own address: not on loopback, nor on the first node's.

    Raises:
        RenderError: the host is a name or address that only one of the nodes can have.
    """
    if alone or head is None or not (is_loopback(site.host) or site.host in site.addresses):
        if alone or head is None or is_wildcard(site.host):
            return site
        raise RenderError(
            f"host is {site.host}, which is no node's address, and several instances cannot all listen there: "
            f"give 0.0.0.0 or {site.addresses[0]}."
        )
    return replace(site, host=head)
