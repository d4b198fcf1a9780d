"""One bash script per node: for people who reach their machines by ssh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..launch import Site
from .bash import command_lines, export_lines, write_literal
from .found import Found
from .instances import Instance
from .keys import key_lines
from .mpi import is_world, mpirun
from .options import Options
from .order import by_instance
from .rendered import Rendered
from .routing import router_argv
from .script import read_script
from .site import is_loopback
from .words import Command, Word

__all__ = ["read_commands", "write_commands"]

HERE = "this machine"


def write_commands(instances: Sequence[Instance], site: Site, options: Options) -> Rendered:
    """`node0.sh`, `node1.sh` … of each instance, a `router.sh` before several, and configuration files beside them."""
    files: dict[str, str] = {}
    scripts: dict[str, list[str]] = {}
    order: list[str] = []
    for instance in instances:
        commands = instance.literal()
        for command in commands[:1] if is_world(instance.launch) else commands:
            name = f"{instance.node(command.ranks.start)}.sh"
            scripts[name] = _node(instance, command, options)
            order.append(_start(options, name, (instance.addresses or (HERE,))[command.ranks.start]))
            files |= command.files
    if len(instances) > 1:
        scripts["router.sh"] = _router(instances, site, options)
        order.append(_start(options, "router.sh", instances[0].addresses[0]))
    notes = [*_notes(instances, site, options), "# Start all of these, in any order:", *order]
    texts = {name: "\n".join(["#!/usr/bin/env bash", lines[0], *notes, *lines[1:]]) + "\n" for name, lines in scripts.items()}
    return Rendered(files=texts | files, executable=frozenset(texts))


def _start(options: Options, name: str, node: str) -> str:
    return f"#   {'bash' if node == HERE else f'ssh -tt {node} bash'} {options.name}/{name}"


def _notes(instances: Sequence[Instance], site: Site, options: Options) -> list[str]:
    """What a person must know, as comments at the head of each script. Only checked texts stand here."""
    head = instances[0].addresses[0] if instances[0].addresses else HERE
    port = options.router_port if len(instances) > 1 else site.port
    lines = [f"# Written by kimi-backend. Copy this folder to every node as {options.name}, with its files beside each other."]
    lines.append(
        "# `ssh -tt` ends the engine when ssh ends. To stop by hand, send SIGTERM to the first node of an instance and wait:"
    )
    lines.append(f"# running requests end first, which may take {options.drain_seconds} s; then stop its other nodes.")
    if is_loopback(site.host):
        lines.append(f"# Clients reach port {port} from the first node only; from elsewhere: ssh -L {port}:127.0.0.1:{port} {head}")
        if len(instances) > 1:
            lines.append("# The engines listen on their nodes' own addresses, because the router comes over the network.")
    return lines


def _node(instance: Instance, command: Command, options: Options) -> list[str]:
    rank, launch = command.ranks.start, instance.launch
    traits = instance.engine.traits
    lines = [
        f"# {instance.name}: {traits.title} {traits.version}, {launch.role}, node {rank} of {launch.nodes}",
        "set -euo pipefail",
    ]
    if command.files:
        lines.append('cd "$(dirname "${BASH_SOURCE[0]}")"')
    lines += path_lines(options) + export_lines(command.env)
    words, extra = command.words, ""
    if instance.site.api_key_file and rank == 0:
        key = key_lines(instance.engine, write_literal(instance.site.api_key_file))
        lines += key.lines
        extra = key.words
    if is_world(launch):
        words = (*mpirun(launch, instance.addresses, command.env), *words)
    return lines + exec_lines(words, extra)


def exec_lines(words: Sequence[Word], extra: str = "", indent: str = "") -> list[str]:
    """`exec` and the command; `extra` are words of ours that stand at its end."""
    lines = command_lines("exec", tuple(words), indent)
    return [*lines[:-1], lines[-1] + " \\", f"{indent}  {extra}"] if extra else lines


def path_lines(options: Options, indent: str = "") -> list[str]:
    """Where the engine's programs are, if that was said."""
    return [f'{indent}export PATH={write_literal(options.binaries)}:"$PATH"'] if options.binaries else []


def _router(instances: Sequence[Instance], site: Site, options: Options) -> list[str]:
    heads = [instance.addresses[0] for instance in instances]
    words = router_argv(instances, heads, site, port=options.router_port, key=site.api_key_file)
    lines = [f"# {options.name}: the router before {len(instances)} instances", "set -euo pipefail"]
    return [*lines, *path_lines(options), *exec_lines([(word,) for word in words])]


def read_commands(files: Mapping[str, str]) -> tuple[list[Found], Found | None]:
    """The instances and the router that the scripts start.

    Raises:
        RenderError: a script is missing, or does something else than starting one program.
    """
    others = {name: text for name, text in files.items() if not name.endswith(".sh")}
    instances = [_instance([(name, files[name]) for name in names], others) for names in by_instance(files, ".sh")]
    return instances, _instance([("router.sh", files["router.sh"])], {}) if "router.sh" in files else None


def _instance(scripts: Sequence[tuple[str, str]], others: Mapping[str, str]) -> Found:
    read = [read_script(name, text, {}, others) for name, text in scripts]
    invocations = tuple(script.invocation for script in read) * read[0].nodes
    return Found(where=scripts[0][0], invocations=invocations, key_file=read[0].key_file)
