"""What a target can be told beyond the plan and the site; each has a default that works."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import RenderError

__all__ = ["TARGETS", "Options", "Target"]

Target = Literal["commands", "slurm", "kubernetes", "compose", "systemd"]
TARGETS: tuple[Target, ...] = get_args(Target)

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
LONGEST_NAME = 40  # suffixes such as -prefill-0-leader still fit into a label's 63 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a plan is written out. Times are in seconds."""

    name: str = "kimi-k2"
    """Name of the job, of the units and of the Kubernetes objects: a DNS-1123 label of at most 40 characters."""
    binaries: str | None = None
    """Folder of the engine's programs, such as /opt/sglang/bin, put before PATH (commands, slurm, systemd)."""
    start_seconds: int = 3600
    """Longest start: a terabyte is read and graphs are captured."""
    drain_seconds: int = 300
    """How long requests may still run after a stop was asked for."""
    router_port: int = 8000
    """Port of the router before several instances (commands, slurm, compose, systemd); it runs on the first node."""
    router_image: str = "lmsysorg/sglang:v0.5.23"
    """Image with sglang-router inside (kubernetes, compose)."""
    partition: str | None = None
    """Slurm's partition."""
    account: str | None = None
    """Slurm's account."""
    time_limit: str = "7-00:00:00"
    """Slurm's time limit."""
    namespace: str | None = None
    """Kubernetes' namespace; None leaves it to kubectl."""
    model_claim: str | None = None
    """PersistentVolumeClaim that holds the checkpoint at its root; None mounts the folder of the node itself."""
    api_key_secret: str | None = None
    """Secret whose entry `api-key` is the clients' key; None is `<name>-api-key` where the site names a key file."""
    rdma_resource: str | None = None
    """Kubernetes' resource of the InfiniBand devices, such as rdma/hca; None with InfiniBand uses the node's network."""
    shm_gib: int = 64
    """Largest /dev/shm of a pod, GiB."""
    config_folder: str = "/etc/kimi-backend"
    """Where a systemd unit finds an engine's configuration files, if it has any."""
    user: str | None = None
    """User that the systemd unit runs as; None is root."""

    def __post_init__(self) -> None:
        """Refuses what a target would refuse, or would read as something else.

        Raises:
            RenderError: it names the option.
        """
        _match("name", self.name, LABEL, "a DNS-1123 label: lower-case letters, digits and dashes")
        if len(self.name) > LONGEST_NAME:
            raise RenderError(
                f"The name {self.name!r} has {len(self.name)} characters; at most {LONGEST_NAME} leave room for suffixes."
            )
        for field in ("namespace", "model_claim", "api_key_secret"):
            _match(field, getattr(self, field), LABEL, "a DNS-1123 label")
        for field in ("partition", "account", "user"):
            _match(field, getattr(self, field), WORD, "one word of letters, digits, dots and dashes")
        _match("rdma_resource", self.rdma_resource, RESOURCE, "a resource name such as rdma/hca")
        _match("router_image", self.router_image, IMAGE, "an image reference")
        _match("time_limit", self.time_limit, re.compile(r"(\d+-)?\d+(:\d\d){0,2}"), "a Slurm time such as 7-00:00:00")
        for field in ("binaries", "config_folder"):
            _folder(field, getattr(self, field))
        for field, least in (("start_seconds", 1), ("drain_seconds", 1), ("shm_gib", 1), ("router_port", 1)):
            if getattr(self, field) < least:
                raise RenderError(f"{field} is {getattr(self, field)}; it must be at least {least}.")
        if self.router_port > 65535:
            raise RenderError(f"router_port is {self.router_port}; ports end at 65535.")


def _match(field: str, value: str | None, form: re.Pattern[str], what: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise RenderError(f"{field} is {value!r}; it must be {what}.")


def _folder(field: str, value: str | None) -> None:
    if value is not None and (not value.startswith("/") or ":" in value or not value.isprintable()):
        raise RenderError(f"{field} is {value!r}; it must be an absolute path without colons and control characters.")
