"""Kubernetes manifests: a LeaderWorkerSet and a Service to the head for each instance, a router before several.

Source of the fields: kubernetes-sigs/lws, config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml (v1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..engines.sglang import BOOTSTRAP_PORT
from ..launch import Site
from .instances import Instance, unused
from .mpi import refuse_world
from .options import Options
from .pods import KEY_FOLDER, POD_IP, POD_SECURITY, pod, secret_name, secret_volume, word_text
from .rendered import Rendered
from .routing import router_argv
from .site import is_loopback
from .words import marked
from .yaml_text import Note, Tree, documents

__all__ = ["write_kubernetes"]

Document = Mapping[str, "Tree | Note"]


def write_kubernetes(instances: Sequence[Instance], site: Site, options: Options) -> Rendered:
    """`NAME.yaml`, for `kubectl apply -f`. The site's addresses are not used: Kubernetes picks the nodes.

    Raises:
        RenderError: an MPI world, no image, or a path that no volume can have.
    """
    trees: list[Document] = []
    for instance in instances:
        refuse_world(instance.launch, "kubernetes")
        trees += _instance(instance, options)
    if len(instances) > 1:
        trees += _router(instances, site, options)
    return Rendered(files={f"{options.name}.yaml": documents(trees, _notes(instances, site, options))})


def _notes(instances: Sequence[Instance], site: Site, options: Options) -> str:
    scope = f" -n {options.namespace}" if options.namespace else ""
    service = f"{options.name}-router" if len(instances) > 1 else f"{options.name}-leader"
    lines = [f"{options.name}, written by kimi-backend. It needs LeaderWorkerSet (lws.sigs.k8s.io) and NVIDIA's device plugin."]
    if site.api_key_file:
        lines.append("Make the Secret with the clients' key first; the key stands nowhere in this file:")
        file = "KEY_FILE"
        lines.append(f"  kubectl{scope} create secret generic {secret_name(options)} --from-file=api-key={file}")
    else:
        lines.append("There is no API key: whoever reaches the Service may use the model.")
    lines.append(f"Clients reach http://{service}:{site.port}/v1 inside the cluster; from elsewhere:")
    lines.append(f"  kubectl{scope} port-forward service/{service} {site.port}:{site.port}")
    if is_loopback(site.host):
        lines.append(
            "The servers listen on their pod's own address, not on loopback, where no probe and no Service would reach them."
        )
    return "\n".join(lines)


def _metadata(name: str, options: Options) -> Tree:
    labels = {"app.kubernetes.io/name": options.name, "app.kubernetes.io/managed-by": "kimi-backend"}
    return {"name": name, **({"namespace": options.namespace} if options.namespace else {}), "labels": labels}


def _instance(instance: Instance, options: Options) -> list[Document]:
    commands = instance.folded(split=True, host=is_loopback(instance.site.host))
    template: dict[str, Tree | Note] = {"size": instance.launch.nodes, "restartPolicy": "RecreateGroupOnPodRestart"}
    head = pod(instance, commands[0], options, head=True)
    if len(commands) > 1:
        template["leaderTemplate"] = head
    template["workerTemplate"] = pod(instance, commands[1], options, head=False) if len(commands) > 1 else head
    lws: Document = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _metadata(instance.name, options),
        "spec": {
            "replicas": 1,
            "startupPolicy": Note(
                "The head is ready only once the other nodes are there, so they must not wait for it.", "LeaderCreated"
            ),
            "leaderWorkerTemplate": template,
        },
    }
    ports = [("http", instance.site.port), *([("bootstrap", BOOTSTRAP_PORT)] if instance.launch.role == "prefill" else [])]
    selector = {"leaderworkerset.sigs.k8s.io/name": instance.name, "leaderworkerset.sigs.k8s.io/worker-index": "0"}
    service = _service(f"{instance.name}-leader", selector, ports, options)
    files = commands[0].files
    config: Document = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(f"{instance.name}-config", options), "data": dict(files),
    }  # fmt: skip
    return [*([config] if files else []), lws, service]


def _service(name: str, selector: Mapping[str, str], ports: Sequence[tuple[str, int]], options: Options) -> Document:
    spec: Tree = {
        "type": "ClusterIP",
        "selector": dict(selector),
        "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name, options), "spec": spec}


def _router(instances: Sequence[Instance], site: Site, options: Options) -> list[Document]:
    """A Deployment that asks nothing of the Kubernetes API: it is told the Services, so its account has no rights and no token."""
    name, host = f"{options.name}-router", unused("host", site)
    heads = [f"{instance.name}-leader" for instance in instances]
    key = f"{KEY_FOLDER}/api-key" if site.api_key_file else None
    argv = router_argv(instances, heads, site, port=site.port, key=key, host=host if is_loopback(site.host) else None)
    labels = {"app.kubernetes.io/name": options.name, "app.kubernetes.io/component": "router"}
    alive: dict[str, Tree | Note] = {"httpGet": {"path": "/liveness", "port": site.port}}
    container: dict[str, Tree | Note] = {
        "name": "router",
        "image": options.router_image,
        "command": [word_text(marked(word, {host: "host"})) for word in argv],
        "env": [POD_IP],
        "ports": [{"name": "http", "containerPort": site.port}],
        "startupProbe": {**alive, "periodSeconds": 15, "failureThreshold": -(-options.start_seconds // 15)},
        "livenessProbe": {**alive, "periodSeconds": 30, "failureThreshold": 5},
        "readinessProbe": {"httpGet": {"path": "/readiness", "port": site.port}, "periodSeconds": 10, "failureThreshold": 2},
        "resources": {"requests": {"cpu": "2", "memory": "4Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: dict[str, Tree | Note] = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": options.drain_seconds + 60,
        "securityContext": POD_SECURITY,
        "containers": [container],
    }
    if key:
        container["volumeMounts"] = [{"name": "api-key", "mountPath": KEY_FOLDER, "readOnly": True}]
        spec["volumes"] = [secret_volume(options)]
    account: Document = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(name, options),
        "automountServiceAccountToken": Note("The router asks nothing of the Kubernetes API, so it has no rights there.", False),
    }
    deployment: Document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(name, options),
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    return [account, deployment, _service(name, labels, [("http", site.port)], options)]
