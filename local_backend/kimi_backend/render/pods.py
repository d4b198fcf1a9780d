"""Pods of one instance: the head's and the other nodes'."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..launch import Launch
from .bash import command_lines
from .errors import RenderError
from .instances import Instance
from .keys import with_key
from .options import Options
from .probe import TIMEOUT, probe_words
from .words import Command, Variable, Word
from .yaml_text import Note, Tree

__all__ = ["KEY_FOLDER", "POD_IP", "POD_SECURITY", "VARIABLES", "pod", "secret_name", "secret_volume", "word_text"]

KEY_FOLDER = "/run/secrets/kimi-backend"
CONFIG_FOLDER = "/etc/kimi-backend"
VARIABLES = {"rank": "LWS_WORKER_INDEX", "head": "LWS_LEADER_ADDRESS", "host": "POD_IP"}
"""What LeaderWorkerSet and the pod itself set. Source: kubernetes-sigs/lws, api/leaderworkerset/v1/leaderworkerset_types.go."""
POD_IP: dict[str, Tree | Note] = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
POD_SECURITY: dict[str, Tree | Note] = {"seccompProfile": {"type": "RuntimeDefault"}}
STARTUP_PERIOD = 15


def word_text(word: Word) -> str:
    """A word as Kubernetes expands it: `$$` is a dollar sign, `$(NAME)` a variable."""
    return "".join(f"$({VARIABLES[part.name]})" if isinstance(part, Variable) else part.replace("$", "$$") for part in word)


def _argv(words: Sequence[Word]) -> list[Tree | Note]:
    """The container's command. Kubernetes cannot calculate, so bash does it where a number is more than the rank itself."""
    if not any(isinstance(part, Variable) and (part.scale, part.offset) != (1, 0) for word in words for part in word):
        return [word_text(word) for word in words]
    start = "".join(f"{name}=${variable}; " for name, variable in VARIABLES.items())
    script = "\n".join([start.rstrip(), *command_lines("exec", tuple(words))]) + "\n"
    return ["bash", "-c", script.replace("$", "$$")]


def secret_name(options: Options) -> str:
    """Of the Secret with the clients' key."""
    return options.api_key_secret or f"{options.name}-api-key"


def secret_volume(options: Options) -> Tree:
    """The Secret as files that their owner alone reads."""
    return {"name": "api-key", "secret": {"secretName": secret_name(options), "defaultMode": 0o400}}


def pod(instance: Instance, command: Command, options: Options, *, head: bool) -> dict[str, Tree | Note]:
    """The pod template of the head, or of the other nodes.

    Raises:
        RenderError: no image is known, or a path that no volume can have.
    """
    spec: dict[str, Tree | Note] = {
        "terminationGracePeriodSeconds": options.drain_seconds + 60,
        "automountServiceAccountToken": False,
    }
    if _node_network(instance, options):
        spec["hostNetwork"] = Note(
            "InfiniBand without a device plugin: the pod uses its node's network, and the server's port is open on the node.\n"
            "With a plugin, name its resource (rdma_resource): then the pod keeps its own network and is not privileged.",
            True,
        )
        spec["dnsPolicy"] = "ClusterFirstWithHostNet"
    spec["securityContext"] = POD_SECURITY
    spec["containers"] = [_container(instance, command, options, head=head)]
    spec["volumes"] = _volumes(instance, command, options, head=head)
    return {"spec": spec}


def _node_network(instance: Instance, options: Options) -> bool:
    return bool(instance.site.infiniband) and options.rdma_resource is None


def _container(instance: Instance, command: Command, options: Options, *, head: bool) -> Tree:
    site, launch = instance.site, instance.launch
    image = site.image or instance.engine.traits.image
    if not image:
        raise RenderError(f"There is no official image of {instance.engine.traits.title}; name one with the site's image.")
    words = command.words
    if head and site.api_key_file:
        words = with_key(instance.engine, words, (f"{KEY_FOLDER}/api-key",))
    container: dict[str, Tree | Note] = {"name": "engine", "image": image, "command": _argv(words)}
    if command.files:
        container["workingDir"] = CONFIG_FOLDER
    container["env"] = [POD_IP, *({"name": name, "value": word_text(value)} for name, value in command.env.items())]
    if head:
        container["ports"] = [{"name": "http", "containerPort": site.port}]
        container |= _probes(instance, options)
    else:
        container["lifecycle"] = _wait_for_head(site.port)
    container["resources"] = {"limits": _limits(instance, options)}
    container["securityContext"] = _security(launch, privileged=_node_network(instance, options))
    container["volumeMounts"] = _mounts(instance, command, options, head=head)
    return container


def _limits(instance: Instance, options: Options) -> dict[str, Tree | Note]:
    limits: dict[str, Tree | Note] = {"nvidia.com/gpu": str(instance.launch.gpus_per_node)}
    if options.rdma_resource:
        limits[options.rdma_resource] = str(max(1, len(instance.site.infiniband)))
    return limits


def _security(launch: Launch, *, privileged: bool) -> Tree:
    if privileged:
        return {"privileged": True}
    # IPC_LOCK: RDMA pins memory. SYS_NICE: placing memory on a NUMA node is behind it in the default seccomp profile.
    added: list[Tree | Note] = ["IPC_LOCK", *(["SYS_NICE"] if launch.cpu_experts else [])]
    return {"allowPrivilegeEscalation": False, "capabilities": {"add": added}}


def _probes(instance: Instance, options: Options) -> dict[str, Tree | Note]:
    """Probes that generate a token; the start may take as long as a terabyte takes to load."""
    site, traits = instance.site, instance.engine.traits
    if traits.generating_probe:
        test: dict[str, Tree | Note] = {"httpGet": {"path": traits.health_path, "port": site.port}}
    else:
        key = f"{KEY_FOLDER}/api-key" if site.api_key_file else None
        words = probe_words(instance.engine, f"http://$POD_IP:{site.port}", site.served_name, key)
        test = {"exec": {"command": words}}
    note = (
        f"{traits.health_path} generates a token."
        if traits.generating_probe
        else f"{traits.health_path} is passive, so a token is asked for."
    )
    return {
        "startupProbe": Note(note, {**test, "periodSeconds": STARTUP_PERIOD, "timeoutSeconds": TIMEOUT,
                                    "failureThreshold": math.ceil(options.start_seconds / STARTUP_PERIOD)}),
        "readinessProbe": {**test, "periodSeconds": 30, "timeoutSeconds": TIMEOUT, "failureThreshold": 2},
        "livenessProbe": {**test, "periodSeconds": 60, "timeoutSeconds": TIMEOUT, "failureThreshold": 5},
    }  # fmt: skip


def _wait_for_head(port: int) -> Note:
    """All pods are told to stop at once; the other nodes must compute until the head has drained.

    The server's port is asked, which SGLang and vLLM keep open until then. The port of the nodes' meeting would not do: vLLM with
    data-parallel attention closes it as soon as all are there (v1/engine/utils.py, launch_core_engines).
    """
    loop = f'while (exec 3<> "/dev/tcp/$LWS_LEADER_ADDRESS/{port}") 2> /dev/null; do sleep 2; done'
    return Note(
        "All pods of a group are stopped at once: this one computes on until the head has ended its requests.",
        {"preStop": {"exec": {"command": ["bash", "-c", loop]}}},
    )


def _volumes(instance: Instance, command: Command, options: Options, *, head: bool) -> list[Tree | Note]:
    site = instance.site
    if ":" in site.model_path or ".." in site.model_path.split("/"):
        raise RenderError(f"The model path {site.model_path!r} has a colon or '..', which no volume in Kubernetes can have.")
    model: Tree = {"hostPath": {"path": site.model_path, "type": "Directory"}}
    if options.model_claim:
        model = {"persistentVolumeClaim": {"claimName": options.model_claim, "readOnly": True}}
    volumes: list[Tree | Note] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{options.shm_gib}Gi"}},
        {"name": "model", **model},
    ]
    if _node_network(instance, options):
        volumes.append({"name": "infiniband", "hostPath": {"path": "/dev/infiniband", "type": "Directory"}})
    if command.files:
        volumes.append({"name": "config", "configMap": {"name": f"{instance.name}-config"}})
    return [*volumes, *([secret_volume(options)] if head and site.api_key_file else [])]


def _mounts(instance: Instance, command: Command, options: Options, *, head: bool) -> list[Tree | Note]:
    mounts: list[Tree | Note] = [
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "model", "mountPath": instance.site.model_path, "readOnly": True},
    ]
    if _node_network(instance, options):
        mounts.append({"name": "infiniband", "mountPath": "/dev/infiniband"})
    if command.files:
        mounts.append({"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True})
    return [
        *mounts,
        *([{"name": "api-key", "mountPath": KEY_FOLDER, "readOnly": True}] if head and instance.site.api_key_file else []),
    ]
