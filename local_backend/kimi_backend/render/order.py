"""Files that belong to nodes, by their names: which instance, which rank."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import RenderError
from .instances import LABELS

__all__ = ["by_instance"]

NODE = re.compile(r"(?:(replica|prefill|decode)-(\d+)-)?node(\d+)")


def by_instance(names: Iterable[str], suffix: str) -> list[list[str]]:
    """The names of each instance's node files in rank order; instances in the order in which they were written.

    Args:
        names: file names such as `node0.sh` or `prefill-0-node1.sh`; others are left out.
        suffix: what follows the node's name.

    Raises:
        RenderError: there is none, or the file of a rank is missing.
    """
    found: dict[tuple[int, int], dict[int, str]] = {}
    order = list(LABELS.values())
    for name in names:
        if name.endswith(suffix) and (match := NODE.fullmatch(name.removesuffix(suffix))):
            place = (order.index(match[1]) if match[1] else -1, int(match[2] or 0))
            found.setdefault(place, {})[int(match[3])] = name
    if not found:
        raise RenderError(
            f"There is no file of a node here; they are called node0{suffix}, or prefill-0-node0{suffix} among several instances."
        )
    for ranks in found.values():
        missing = next(rank for rank in range(len(ranks) + 1) if rank not in ranks)
        if missing < len(ranks):
            raise RenderError(f"Beside {ranks[max(ranks)]} the file of node {missing} is missing.")
    return [[ranks[rank] for rank in sorted(ranks)] for _, ranks in sorted(found.items())]
