"""TensorRT-LLM on several nodes is one MPI world: one launcher starts a task per GPU everywhere.

Source: trtllm-serve's documentation, `mpirun -np 16 … trtllm-llmapi-launch trtllm-serve …` or srun with `--mpi=pmix`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..launch import Launch
from .errors import RenderError
from .words import Word

__all__ = ["is_world", "mpirun", "refuse_world", "unmpirun"]

LAUNCHER = "trtllm-llmapi-launch"


def is_world(launch: Launch) -> bool:
    """Whether an MPI launcher starts the nodes, instead of one command on each."""
    return launch.engine == "tensorrt-llm" and launch.nodes > 1


def refuse_world(launch: Launch, target: str) -> None:
    """Let pass what can be started node by node.

    Raises:
        RenderError: this launch is one MPI world.
    """
    if is_world(launch):
        raise RenderError(
            f"TensorRT-LLM on {launch.nodes} nodes is one MPI world, which {target} cannot start; "
            "use commands (mpirun), slurm (srun), or one node."
        )


def mpirun(launch: Launch, addresses: Sequence[str], env: Iterable[str]) -> tuple[Word, ...]:
    """Open MPI's launcher with a task per GPU, and the environment passed on by name."""
    hosts = ",".join(f"{address}:{launch.gpus_per_node}" for address in addresses)
    words = ["mpirun", "-np", str(launch.nodes * launch.gpus_per_node), "--host", hosts]
    return tuple((word,) for word in [*words, *(word for name in env for word in ("-x", name))])


def unmpirun(argv: list[str]) -> tuple[list[str], int]:
    """The command without the launcher before it, and on how many nodes it runs.

    Raises:
        RenderError: mpirun without its hosts, or it starts something else.
    """
    if not argv or argv[0] != "mpirun":
        return argv, 1
    if LAUNCHER not in argv or "--host" not in argv[:-1]:
        raise RenderError(f"mpirun must name its nodes with --host and start {LAUNCHER}.")
    return argv[argv.index(LAUNCHER) :], argv[argv.index("--host") + 1].count(",") + 1
