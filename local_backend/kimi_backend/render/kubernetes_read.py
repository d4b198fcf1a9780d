"""Kubernetes manifests read back: what the pods of each LeaderWorkerSet start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from ..launch import Invocation
from .bash import logical_lines, read_words
from .errors import RenderError
from .found import MOST_NODES, Found
from .instances import UNKNOWN
from .keys import unwrap
from .pods import VARIABLES
from .script import files_named
from .yaml_read import check, load_all

__all__ = ["read_kubernetes"]

REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")


class Env(BaseModel):
    """A variable with a value of its own."""

    name: str
    value: str | None = None


class Resources(BaseModel):
    """Of a container."""

    limits: dict[str, str | int] = {}


class Container(BaseModel):
    """What is started."""

    image: str
    command: list[str] = []
    args: list[str] = []
    env: list[Env] = []
    resources: Resources = Resources()


class PodSpec(BaseModel):
    """A pod; its first container is the engine."""

    containers: list[Container] = Field(min_length=1)


class Template(BaseModel):
    """A pod template."""

    spec: PodSpec


class Group(BaseModel):
    """The pods of a group."""

    size: int = Field(ge=1, le=MOST_NODES)
    leaderTemplate: Template | None = None
    workerTemplate: Template


class GroupSpec(BaseModel):
    """A LeaderWorkerSet's spec."""

    leaderWorkerTemplate: Group


class Metadata(BaseModel):
    """An object's name."""

    name: str


class LeaderWorkerSet(BaseModel):
    """One instance."""

    metadata: Metadata
    spec: GroupSpec


class DeploymentSpec(BaseModel):
    """A Deployment's spec."""

    template: Template


class Deployment(BaseModel):
    """The router."""

    metadata: Metadata
    spec: DeploymentSpec


class ConfigMap(BaseModel):
    """Configuration files."""

    data: dict[str, str] = {}


def read_kubernetes(files: Mapping[str, str]) -> tuple[list[Found], Found | None]:
    """The instances and the router that the manifests start.

    Raises:
        RenderError: no LeaderWorkerSet, or a field that is missing or of another type.
    """
    texts = {name: text for name, text in files.items() if name.endswith((".yaml", ".yml"))}
    documents = [(name, document) for name, text in texts.items() for document in load_all(name, text)]
    configs: dict[str, str] = {}
    for name, document in documents:
        if document.get("kind") == "ConfigMap":
            configs |= check(name, document, ConfigMap).data
    sets = [check(name, document, LeaderWorkerSet) for name, document in documents if document.get("kind") == "LeaderWorkerSet"]
    if not sets:
        raise RenderError("There is no LeaderWorkerSet in these files.")
    routers = [check(name, document, Deployment) for name, document in documents if document.get("kind") == "Deployment"]
    if len(routers) > 1:
        raise RenderError(f"There are {len(routers)} Deployments; only the router is one.")
    found = [_group(one.metadata.name, one.spec.leaderWorkerTemplate, configs) for one in sets]
    return found, _pod(routers[0].metadata.name, [routers[0].spec.template], {}) if routers else None


def _group(name: str, group: Group, configs: Mapping[str, str]) -> Found:
    return _pod(name, [group.leaderTemplate or group.workerTemplate, *[group.workerTemplate] * (group.size - 1)], configs)


def _pod(name: str, templates: Sequence[Template], configs: Mapping[str, str]) -> Found:
    containers = [template.spec.containers[0] for template in templates]
    try:
        read = [_rank(container, rank, len(templates), configs) for rank, container in enumerate(containers)]
    except RenderError as problem:
        raise RenderError(f"{name}: {problem}") from problem
    gpus = {str(container.resources.limits.get("nvidia.com/gpu", 0)) for container in containers}
    if len(gpus) > 1 or not (count := gpus.pop()).isdecimal():
        raise RenderError(f"{name}: the pods of a group must have the same whole number of nvidia.com/gpu.")
    return Found(
        where=name,
        invocations=tuple(command for command, _ in read),
        gpus=int(count),
        key_file=read[0][1],
        image=containers[0].image,
    )


def _rank(container: Container, rank: int, size: int, configs: Mapping[str, str]) -> tuple[Invocation, str | None]:
    values = {
        "LWS_WORKER_INDEX": str(rank),
        "LWS_LEADER_ADDRESS": f"head.{UNKNOWN}",
        "POD_IP": "127.0.0.1",
        "LWS_GROUP_SIZE": str(size),
    }
    env: dict[str, str] = {}
    for variable in container.env:
        if variable.value is not None:
            env[variable.name] = _expanded(variable.value, values | env)
    words = [_expanded(word, values | env) for word in [*container.command, *container.args]]
    start = _prelude()
    if words[:2] == ["bash", "-c"] and len(words) == 3 and words[2].startswith(start):
        known = {name: values[variable] for name, variable in VARIABLES.items()}
        words = [word for _, line in logical_lines(words[2].removeprefix(start)) for word in read_words(line, known)][1:]
    argv, key = unwrap(words)
    return Invocation(argv=tuple(argv), env=env, files=files_named(argv, configs)), key


def _prelude() -> str:
    return " ".join(f"{name}=${variable};" for name, variable in VARIABLES.items()) + "\n"


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """As Kubernetes expands it: `$$` is a dollar sign, `$(NAME)` a variable, or itself where there is none of that name."""
    return REFERENCE.sub(lambda match: "$" if match[1] == "$" else values.get(match[2], match[0]), text)
