"""A plan as a JSON file: pydantic models of what is written, and of what is believed when it is read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..hardware import Cluster, HardwareError
from ..launch import Launch
from ..specs import COMPONENTS, Architecture, Component, Format, ModelSpec
from .refusal import PlanRefused
from .wish import Strategy, Wish

if TYPE_CHECKING:
    from .plan import Plan

_MOST_BYTES = 16 << 20
"""Far more than any plan has: the largest is some hundred kilobytes."""

__all__ = ["ModelFile", "PlanFile", "read_plan_file"]


class ModelFile(BaseModel):
    """A model's spec, whole, so that a plan can be read where the checkpoint is not."""

    name: str
    thinking: bool
    formats: dict[Component, Format]
    unverified: dict[str, str]
    vision: bool = False
    architecture: Architecture

    @classmethod
    def of(cls, model: ModelSpec) -> ModelFile:
        """The file's form of a spec."""
        return cls(
            name=model.name,
            thinking=model.thinking,
            formats=dict(model.formats),
            unverified=dict(model.unverified),
            vision=model.vision,
            architecture=model.architecture,
        )

    def spec(self) -> ModelSpec:
        """The spec."""
        return ModelSpec(
            name=self.name,
            architecture=self.architecture,
            formats=self.formats,
            thinking=self.thinking,
            unverified=self.unverified,
            vision=self.vision,
        )


class PlanFile(BaseModel):
    """What was decided, and under `worked_out` what followed: the latter is for readers and is never read back."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    model: ModelFile
    cluster: Cluster
    wish: Wish
    strategy: Strategy
    instances: tuple[Launch, ...]
    worked_out: dict[str, Any] = {}

    @classmethod
    def of(cls, plan: Plan) -> PlanFile:
        """The file's form of a plan."""
        return cls(
            model=ModelFile.of(plan.model),
            cluster=plan.cluster,
            wish=plan.wish,
            strategy=plan.strategy,
            instances=plan.instances,
            worked_out=_worked_out(plan),
        )


def read_plan_file(path: Path) -> PlanFile:
    """The file's content.

    Raises:
        PlanRefused: it cannot be read, or is no plan of this version.
    """
    try:
        with path.open("rb") as opened:
            raw = opened.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise PlanRefused((f"{path} is longer than {_MOST_BYTES:,} bytes, and so is no plan",))
        found = PlanFile.model_validate_json(raw)
    except OSError as error:
        raise PlanRefused((f"{path}: {error.strerror or error}",)) from error
    except HardwareError as error:
        raise PlanRefused((f"{path} is no plan: {error}",)) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise PlanRefused((f"{path} is no plan: {problems}; `kimi-backend plan --json` writes one",)) from error
    if problems := tuple(_contradictions(found)):
        raise PlanRefused(tuple(f"{path}: {problem}" for problem in problems))
    return found


def _contradictions(found: PlanFile) -> Iterator[str]:
    """What no plan of ours says."""
    if missing := [c for c in COMPONENTS if c not in found.model.formats]:
        yield f"the model's formats lack {', '.join(missing)}"
    roles = [i.role for i in found.instances]
    wanted = ["prefill", "decode"] if found.strategy == "disaggregated" else ["serve"] * len(roles)
    if not roles or roles != wanted:
        yield f"{found.strategy} has instances of the roles {wanted or ['serve']}, and these are {roles}"
    elif found.strategy != "disaggregated" and len(set(found.instances)) > 1:
        yield "its instances differ"
    if any(i.engine != found.wish.engine for i in found.instances):
        yield f"its instances are not of the engine that it names, {found.wish.engine}"
    if any(i.gpus_per_node != found.cluster.gpus_per_node for i in found.instances):
        yield f"its instances are not on nodes of {found.cluster.gpus_per_node} GPUs"
    if sum(i.nodes for i in found.instances) > found.cluster.nodes:
        yield f"its instances take {sum(i.nodes for i in found.instances)} nodes, and the cluster has {found.cluster.nodes}"


def _worked_out(plan: Plan) -> dict[str, Any]:
    return {
        "parameters": dict(plan.model.parameters),
        "total_parameters": plan.model.total_parameters,
        "active_parameters": plan.model.active_parameters,
        "checkpoint_bytes": plan.model.checkpoint_bytes,
        "kv_bytes_per_token": plan.model.kv_bytes_per_token(plan.launch.kv_dtype),
        "ranks": [
            {
                "stage": i,
                "ranks": rank.ranks,
                "layers": rank.stage.layers,
                "card_bytes": rank.card,
                "weights": [{"part": p.name, "bytes": p.bytes, "ways": p.ways} for p in rank.parts],
                "weights_bytes": rank.weights,
                "activations_bytes": rank.activations,
                "kv_bytes": rank.kv,
                "rest_bytes": rank.rest,
            }
            for i, rank in enumerate(plan.memory)
        ],
        "host_bytes": plan.host_bytes,
        "kv_tokens": plan.tokens,
        "kv_tokens_per_group": plan.pool.tokens_per_group,
        "attention_groups": plan.pool.groups,
        "sessions": plan.sessions,
        "throughput": [
            {"batch": t.batch, "context": t.context, "bound": t.bound, "low": t.low, "high": t.high} for t in plan.throughput
        ],
        "reasons": list(plan.reasons),
        "warnings": list(plan.warnings),
    }
