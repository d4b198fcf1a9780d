"""Compose files read back: what their containers start."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, Field

from ..launch import Invocation
from .compose import SUFFIX
from .errors import RenderError
from .found import Found
from .keys import unwrap
from .order import by_instance
from .script import files_named
from .yaml_read import load

__all__ = ["read_compose"]

DOLLAR = re.compile(r"\$(\$|.?)", re.DOTALL)


class Device(BaseModel):
    """A reservation of devices."""

    count: int | None = None


class Reservations(BaseModel):
    """What a service is promised."""

    devices: list[Device] = []


class Resources(BaseModel):
    """Of a service."""

    reservations: Reservations = Reservations()


class Deploy(BaseModel):
    """Of a service."""

    resources: Resources = Resources()


class Service(BaseModel):
    """One container, as far as it says what is started."""

    image: str
    entrypoint: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    deploy: Deploy = Deploy()


class Secret(BaseModel):
    """A secret from a file."""

    file: str


class Services(BaseModel):
    """The containers of a node."""

    engine: Service
    router: Service | None = None


class Project(BaseModel):
    """One compose file."""

    services: Services
    secrets: dict[str, Secret] = Field(default_factory=dict[str, Secret])


def read_compose(files: Mapping[str, str]) -> tuple[list[Found], Found | None]:
    """The instances and the router that the files start.

    Raises:
        RenderError: a file is missing, or says something that Compose would not take so.
    """
    instances: list[Found] = []
    router: Found | None = None
    for names in by_instance(files, SUFFIX):
        projects = [load(name, files[name], Project)[0] for name in names]
        commands = [_invocation(name, project.services.engine, files) for name, project in zip(names, projects, strict=True)]
        engine = projects[0].services.engine
        secret = projects[0].secrets.get("api-key")
        key = _dollars(names[0], secret.file) if secret else None
        devices = engine.deploy.resources.reservations.devices
        gpus = devices[0].count if devices else 0
        instances.append(Found(where=names[0], invocations=tuple(commands), gpus=gpus, key_file=key, image=engine.image))
        for name, project in zip(names, projects, strict=True):
            if project.services.router:
                router = Found(where=name, invocations=(_invocation(name, project.services.router, files),), key_file=key)
    return instances, router


def _invocation(name: str, service: Service, files: Mapping[str, str]) -> Invocation:
    argv, _ = unwrap([_dollars(name, word) for word in [*service.entrypoint, *service.command]])
    env = {key: _dollars(name, value) for key, value in service.environment.items()}
    return Invocation(argv=tuple(argv), env=env, files=files_named(argv, files))


def _dollars(name: str, text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1] != "$":
            raise RenderError(
                f"{name}: in {text!r} {match[0]!r} begins a variable of Compose; write $$ for a dollar sign, or the value."
            )
        return "$"

    return DOLLAR.sub(one, text)
