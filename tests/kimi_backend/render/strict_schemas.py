"""What Kubernetes objects may hold, as far as ours go: a field that is not here is a typing error.

Written by hand after the published API: apps/v1, core/v1, and LeaderWorkerSet's CRD (leaderworkerset.x-k8s.io/v1).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
COUNT: Schema = {"type": "integer", "minimum": 1}
LABEL: Schema = {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def thing(required: str, **fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


METADATA = thing("name labels", name=LABEL, namespace=LABEL, labels=TEXTS)
EXEC = thing("command", command=many(TEXT))
GET = thing("path port", path=TEXT, port=PORT)
PROBE = {
    **thing(
        "periodSeconds failureThreshold", exec=EXEC, httpGet=GET, periodSeconds=COUNT, timeoutSeconds=COUNT, failureThreshold=COUNT
    ),
    "oneOf": [{"required": ["exec"]}, {"required": ["httpGet"]}],
}
FIELD = thing("fieldRef", fieldRef=thing("fieldPath", fieldPath={"const": "status.podIP"}))
CONTAINER = thing(
    "name image command",
    name=LABEL,
    image=TEXT,
    command=many(TEXT),
    workingDir=TEXT,
    env=many(thing("name", name={"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, value=TEXT, valueFrom=FIELD)),
    ports=many(thing("containerPort", name=LABEL, containerPort=PORT)),
    startupProbe=PROBE,
    readinessProbe=PROBE,
    livenessProbe=PROBE,
    lifecycle=thing("preStop", preStop=thing("exec", exec=EXEC)),
    resources=thing("", limits=TEXTS, requests=TEXTS),
    securityContext=thing(
        "", privileged=TRUTH, allowPrivilegeEscalation={"const": False}, capabilities=thing("", add=many(TEXT), drop=many(TEXT))
    ),
    volumeMounts=many(
        thing("name mountPath", name=LABEL, mountPath={"type": "string", "pattern": "^[^:]+$"}, readOnly=TRUTH),
    ),
)
VOLUME = {
    **thing(
        "name",
        name=LABEL,
        emptyDir=thing("medium", medium={"const": "Memory"}, sizeLimit=TEXT),
        hostPath=thing("path type", path=TEXT, type={"const": "Directory"}),
        persistentVolumeClaim=thing("claimName", claimName=LABEL, readOnly=TRUTH),
        configMap=thing("name", name=LABEL),
        secret=thing("secretName", secretName=LABEL, defaultMode={"const": 0o400}),
    ),
    "minProperties": 2,
    "maxProperties": 2,
}
POD = thing(
    "containers automountServiceAccountToken terminationGracePeriodSeconds",
    containers=many(CONTAINER),
    volumes=many(VOLUME),
    hostNetwork=TRUTH,
    dnsPolicy={"const": "ClusterFirstWithHostNet"},
    serviceAccountName=LABEL,
    automountServiceAccountToken={"const": False},
    terminationGracePeriodSeconds=COUNT,
    securityContext=thing("", seccompProfile=thing("type", type={"const": "RuntimeDefault"})),
)
TEMPLATE = thing("spec", metadata=thing("labels", labels=TEXTS), spec=POD)


def kind(version: str, name: str, **fields: Schema) -> Schema:
    return thing(
        " ".join(["apiVersion", "kind", "metadata", *fields]),
        apiVersion={"const": version},
        kind={"const": name},
        metadata=METADATA,
        **fields,
    )


SCHEMAS: dict[str, Schema] = {
    "LeaderWorkerSet": kind(
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        spec=thing(
            "replicas startupPolicy leaderWorkerTemplate",
            replicas=COUNT,
            startupPolicy={"enum": ["LeaderCreated", "LeaderReady"]},
            leaderWorkerTemplate=thing(
                "size restartPolicy workerTemplate",
                size=COUNT,
                restartPolicy={"enum": ["Default", "RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None"]},
                leaderTemplate=TEMPLATE,
                workerTemplate=TEMPLATE,
            ),
        ),
    ),
    "Service": kind(
        "v1",
        "Service",
        spec=thing(
            "type selector ports",
            type={"const": "ClusterIP"},
            selector=TEXTS,
            ports=many(thing("name port targetPort protocol", name=LABEL, port=PORT, targetPort=PORT, protocol={"const": "TCP"})),
        ),
    ),
    "ConfigMap": kind("v1", "ConfigMap", data=TEXTS),
    "ServiceAccount": kind("v1", "ServiceAccount", automountServiceAccountToken={"const": False}),
    "Deployment": kind(
        "apps/v1",
        "Deployment",
        spec=thing(
            "replicas selector template", replicas=COUNT, selector=thing("matchLabels", matchLabels=TEXTS), template=TEMPLATE
        ),
    ),
}
