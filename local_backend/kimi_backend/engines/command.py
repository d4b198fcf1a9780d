"""Commands that are written, and read back by writing them again: what all engines share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ..launch import EngineName, Invocation, Launch, Node, Site
from .base import Traits
from .compare import differences
from .flags import FlagError, Parsed, Snapshot, load

__all__ = ["CommandEngine", "Start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the commands of an instance start, and where."""

    launch: Launch
    site: Site
    """As far as the commands tell: `addresses` has the head alone, and `image` and `api_key_file` are never in a command."""


class CommandEngine(ABC):
    """An engine with one command per node. The subclass writes the command and guesses what a command means.

    Reading takes the guess, writes it again, and compares flag by flag, as the engine's own parser reads both. So a flag that
    was changed on one node, or that a launch cannot express, is found without a list of such flags.
    """

    name: EngineName
    traits: Traits
    snapshot: str
    """Name of the engine's parser in `flags`."""
    harmless: frozenset[str] = frozenset()
    """Where the parser puts flags that a user may add: they change nothing that a launch says."""
    api_key_variable: str | None = None
    """Environment variable with the key that clients must send. A key is never in a command, since `ps` shows those to everyone."""
    api_key_config: str | None = None
    """Flag that names a YAML file with the line `api-key: "..."`, written for the engine's user alone when it starts.

    Where this and `api_key_variable` are None, the engine asks no key of its clients."""
    drain_flag: str | None = None
    """Flag that limits how many seconds running requests have after SIGTERM; None where the engine has no such limit."""
    mpi: bool = False
    """Whether all ranks are one MPI world, which `srun --mpi` or `mpirun` starts; else each node runs its command by itself."""

    @abstractmethod
    def invocation(self, launch: Launch, site: Site, node: Node) -> Invocation:
        """What one node runs.

        Raises:
            FlagError: the engine has no flag for what is asked.
        """

    @abstractmethod
    def guess(self, head: Parsed, invocation: Invocation) -> Start:
        """What the head's command seems to start; `read_start` checks it.

        Raises:
            FlagError: a flag is missing without which there is nothing to guess.
        """

    def parser(self) -> Snapshot:
        """The engine's own parser at the version of `traits`."""
        return load(self.snapshot, self.traits.version)

    def is_started_by(self, argv: Sequence[str]) -> bool:
        """Whether a whole command begins with the words that start this engine."""
        try:
            self.parser().arguments(argv)
        except FlagError:
            return False
        return True

    def check(self, argv: Sequence[str]) -> list[str]:
        """Each thing that the engine's own parser would refuse or warn of, with the successor; [] is good."""
        try:
            parser = self.parser()
            return [problem.text for problem in parser.check(parser.arguments(argv))]
        except FlagError as error:
            return [str(error)]

    def read(self, invocations: Sequence[Invocation]) -> Launch:
        """The launch that the nodes of one instance, in rank order, would start.

        Raises:
            FlagError: the engine's own parser would refuse a flag, or the nodes do not belong together.
        """
        return self.read_start(invocations).launch

    def read_start(self, invocations: Sequence[Invocation]) -> Start:
        """Like `read`, with the site as far as the commands tell it.

        Raises:
            FlagError: as `read`.
        """
        if not invocations:
            raise FlagError("There is no command to read.")
        parsed = [self._parsed(invocation) for invocation in invocations]
        found = self.guess(parsed[0], invocations[0])
        if len(invocations) != found.launch.nodes:
            raise FlagError(f"The first node's command is for {found.launch.nodes} nodes; there are {len(invocations)} commands.")
        for rank, invocation in enumerate(invocations):
            self._compare(rank, found, parsed[rank], invocation)
        return found

    def _parsed(self, invocation: Invocation) -> Parsed:
        parser = self.parser()
        return parser.parse(parser.arguments(invocation.argv))

    def _compare(self, rank: int, found: Start, parsed: Parsed, invocation: Invocation) -> None:
        head = found.site.addresses[0] if found.site.addresses else found.site.host
        expected = self.invocation(found.launch, found.site, Node(rank=str(rank), head=head, is_head=rank == 0))
        wrong = differences(self._parsed(expected), parsed, self.parser(), self.harmless)
        wrong += [
            f"{name} is {invocation.env.get(name)!r}, not {value!r}"
            for name, value in expected.env.items()
            if invocation.env.get(name) != value
        ]
        wrong += self.different_files(expected, invocation)
        if wrong:
            raise FlagError(f"Node {rank} does not start its part of what the first node's command says: {'; '.join(wrong)}.")

    def more_ports(self, launch: Launch, site: Site) -> dict[int, str]:
        """Ports, and what for, that the head takes beside the site's two."""
        return {}

    def different_files(self, expected: Invocation, invocation: Invocation) -> list[str]:
        """What differs between the files beside two commands; [] where an engine has none."""
        return []
