"""The plan: what is launched where, what each card holds, and why. Everything that is rendered comes from one of these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..engines import engine
from ..hardware import Cluster
from ..launch import Launch
from ..specs import ModelSpec
from .assess import Assessed, assess, host_bytes
from .candidates import Candidate
from .choose import choose
from .file import PlanFile, read_plan_file
from .pool import Pool, RankMemory
from .reasons import reasons, warnings
from .refusal import PlanRefused
from .roofline import Throughput, throughput
from .wish import Strategy, Wish

__all__ = ["Plan", "make_plan", "read_plan"]

_BATCHES = (1, 8, 32, 64, 128, 256, 512)
_USUAL_LENGTH = 8192
"""Tokens at which the batches are compared: agents' requests are rarely as long as the longest that must fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan that fits."""

    model: ModelSpec
    cluster: Cluster
    wish: Wish
    strategy: Strategy
    instances: tuple[Launch, ...]
    """Equal ones; or the prefill and the decode side."""
    memory: tuple[RankMemory, ...]
    """A rank of each pipeline stage of one instance."""
    pool: Pool
    """Of one instance that holds sequences."""
    host_bytes: int
    """Of experts in the node's own memory."""
    sessions: int
    """Sequences of the wished context that all instances hold at once."""
    throughput: tuple[Throughput, ...]
    """Of one instance: batches of sequences of usual length as far as they fit, and all sequences of the wished length."""
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def launch(self) -> Launch:
        """The instance that holds the sequences while they are answered."""
        return self.instances[-1]

    @property
    def tokens(self) -> int:
        """Tokens of KV cache, all instances that hold sequences together."""
        return self.pool.tokens * (1 if self.strategy == "disaggregated" else len(self.instances))

    def to_json(self) -> str:
        """The plan as JSON: what is needed to read it again, and all that was worked out from that."""
        return json.dumps(PlanFile.of(self).model_dump(mode="json"), indent=2) + "\n"


def make_plan(model: ModelSpec, cluster: Cluster, wish: Wish | None = None) -> Plan:
    """The plan for a model on a cluster.

    Raises:
        PlanRefused: nothing fits; with the numbers, and what would.
    """
    wish = wish or Wish()
    taken, others = choose(model, cluster, wish, engine(wish.engine).traits)
    return _plan(model, cluster, wish, taken, others)


def read_plan(path: Path) -> Plan:
    """A plan that `to_json` wrote, worked out anew: only what was decided is taken from the file.

    Raises:
        PlanRefused: it is no plan, or what it decides does not fit.
    """
    found = read_plan_file(path)
    candidate = Candidate(found.strategy, found.instances)
    assessed = assess(found.model.spec(), found.cluster, candidate)
    if assessed.why_not:
        raise PlanRefused((f"{path}: the plan does not fit", *assessed.why_not))
    return _plan(found.model.spec(), found.cluster, found.wish, assessed, ())


def _plan(model: ModelSpec, cluster: Cluster, wish: Wish, taken: Assessed, others: tuple[Assessed, ...]) -> Plan:
    traits = engine(wish.engine).traits
    return Plan(
        model=model,
        cluster=cluster,
        wish=wish,
        strategy=taken.candidate.strategy,
        instances=taken.candidate.instances,
        memory=taken.memory,
        pool=taken.pool,
        host_bytes=host_bytes(model, taken.launch),
        sessions=taken.sessions,
        throughput=_throughput(model, cluster, taken),
        reasons=tuple(reasons(model, cluster, wish, traits, taken, others)),
        warnings=tuple(warnings(model, cluster, traits, taken)),
    )


def _throughput(model: ModelSpec, cluster: Cluster, taken: Assessed) -> tuple[Throughput, ...]:
    launch, pool = taken.launch, taken.pool
    usual = min(_USUAL_LENGTH, launch.context)
    most = min(pool.sessions(usual), launch.max_running or pool.sessions(usual))
    rows = [(batch, usual) for batch in _BATCHES if batch <= most]
    whole = min(pool.sessions(launch.context), launch.max_running or pool.sessions(launch.context))
    if (whole, launch.context) not in rows:
        rows.append((whole, launch.context))
    found = (throughput(model, cluster, launch, batch, length) for batch, length in rows)
    return tuple(row for row in found if row is not None)
