"""`kimi-backend render` and `read`."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer

from ..launch import Site
from ..plan import Plan, read_plan
from ..render import Options, RenderError, Target, read_back, write
from ..render import render as render_plan
from ..render.fitting import ADDRESSED
from .failing import told

__all__ = ["read", "render"]

_DEFAULT = Options()
_LARGEST = 1_000_000
"""Bytes of a file that is read back; the largest that is written has some ten thousand."""
_FIRST_CONTEXT = 131_072
"""Tokens that the first Kimi K2 reads."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@told
def render(
    target: Annotated[Target, typer.Argument(help="Which form.", show_default=False)],
    plan: Annotated[Path, typer.Option(help="The plan, as `plan --output` wrote it.")],
    into: Annotated[Path, typer.Option(help="Folder for the files.")],
    model_path: Annotated[str, typer.Option(help="Folder of the checkpoint as every node (or container) sees it.")],
    nodes: Annotated[str, typer.Option(help="Addresses of the nodes in rank order: 10.0.0.1,10.0.0.2.")] = "",
    host: Annotated[str, typer.Option(help="Address that the server listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the OpenAI-compatible server.")] = 30000,
    rendezvous_port: Annotated[int, typer.Option(help="Port on which the nodes find each other.")] = 20000,
    served_name: Annotated[
        str | None,
        typer.Option(
            help="The model's name for clients; default: kimi-k2, or the model's own if it thinks or reads more than 128k."
        ),
    ] = None,
    interface: Annotated[str | None, typer.Option(help="Network interface of NCCL and Gloo: bond0.")] = None,
    infiniband: Annotated[str, typer.Option(help="InfiniBand or RoCE devices: mlx5_0,mlx5_1.")] = "",
    image: Annotated[str | None, typer.Option(help="Container image; default: the engine's own, at the version checked.")] = None,
    api_key_file: Annotated[str | None, typer.Option(help="File on the nodes with the key that clients must send.")] = None,
    name: Annotated[str, typer.Option(help="Name of the job, units and objects.")] = _DEFAULT.name,
    binaries: Annotated[str | None, typer.Option(help="Folder of the engine's programs: /opt/sglang/bin.")] = None,
    start_seconds: Annotated[int, typer.Option(help="Longest start.")] = _DEFAULT.start_seconds,
    drain_seconds: Annotated[int, typer.Option(help="How long requests may run on when it is stopped.")] = _DEFAULT.drain_seconds,
    router_port: Annotated[int, typer.Option(help="Port of the router before several instances.")] = _DEFAULT.router_port,
    router_image: Annotated[str, typer.Option(help="Image with sglang-router.")] = _DEFAULT.router_image,
    partition: Annotated[str | None, typer.Option(help="Slurm's partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Slurm's account.")] = None,
    time_limit: Annotated[str, typer.Option(help="Slurm's time limit.")] = _DEFAULT.time_limit,
    namespace: Annotated[str | None, typer.Option(help="Kubernetes' namespace.")] = None,
    model_claim: Annotated[str | None, typer.Option(help="PersistentVolumeClaim with the checkpoint.")] = None,
    api_key_secret: Annotated[str | None, typer.Option(help="Kubernetes Secret with the clients' key.")] = None,
    rdma_resource: Annotated[str | None, typer.Option(help="Kubernetes' resource of the InfiniBand devices: rdma/hca.")] = None,
    shm_gib: Annotated[int, typer.Option(help="Largest /dev/shm of a pod, GiB.")] = _DEFAULT.shm_gib,
    config_folder: Annotated[str, typer.Option(help="Where systemd units find configuration files.")] = _DEFAULT.config_folder,
    user: Annotated[str | None, typer.Option(help="User that systemd units run as.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a plan out: scripts for each node, a Slurm job, Kubernetes objects, compose files or systemd units."""
    if nodes and target not in ADDRESSED:
        raise RenderError(f"{target} picks the nodes by itself: leave --nodes out.")
    made_plan = read_plan(plan)
    served_name = served_name or _served_name(made_plan)
    given = dict(locals())
    site = Site(
        addresses=tuple(filter(None, map(str.strip, nodes.split(",")))),
        infiniband=tuple(filter(None, map(str.strip, infiniband.split(",")))),
        **{k: given[k] for k in _names(Site) if k in given and k != "infiniband"},
    )
    options = Options(**{k: given[k] for k in _names(Options)})
    made = render_plan(made_plan.instances, site, target, options)
    for path in write(made, into, force=force):
        typer.echo(path)


@told
def read(
    target: Annotated[Target, typer.Argument(help="Which form the files have.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(help="The files, or the folder that holds them.", show_default=False)],
) -> None:
    """Read written (or edited) files back: what they would start, each flag checked against the engine's own parser."""
    from rich.console import Console
    from rich.table import Table

    paths = [path for given in files for path in _files(given)]
    found = read_back(target, {path.name: _text(path) for path in paths})
    table = Table("", *(f"instance {i}" for i in range(len(found.instances))))
    rows = [asdict(launch) for launch in found.instances]
    for field in rows[0] if rows else ():
        table.add_row(field, *(str(row[field]) for row in rows))
    Console().print(table)


def _served_name(plan: Plan) -> str:
    """Clients tell by the name whether a model thinks and how much it reads; a bare kimi-k2 is the first one to them."""
    own = plan.model.name
    unlike = plan.launch.thinking or plan.launch.context > _FIRST_CONTEXT
    return own if unlike and _PLAIN.fullmatch(own) else "kimi-k2"


def _files(given: Path) -> list[Path]:
    """A file that was named, or the files that lie in a folder."""
    return [path for path in sorted(given.iterdir()) if path.is_file()] if given.is_dir() else [given]


def _text(path: Path) -> str:
    """A file's text.

    Raises:
        RenderError: it is no file of text, or far larger than anything that is written here.
    """
    if not path.is_file() and path.exists():
        raise RenderError(f"{str(path)!r} is no plain file.")
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise RenderError(f"{str(path)!r} has more than {_LARGEST:,} bytes; no file of these forms has.")
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        raise RenderError(f"{str(path)!r} is no text in UTF-8: byte {problem.start} cannot be.") from None


def _names(kind: type[Site] | type[Options]) -> list[str]:
    return [field.name for field in fields(kind)]
