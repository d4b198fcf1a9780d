"""One sbatch script for all nodes."""

from __future__ import annotations

from collections.abc import Sequence

from ..launch import Site
from .bash import command_lines, export_lines, write_literal, write_word
from .commands import path_lines
from .errors import RenderError
from .instances import Instance, unused
from .keys import key_lines
from .mpi import is_world
from .options import Options
from .rendered import Rendered
from .routing import router_argv
from .site import is_loopback
from .words import Command, Variable, marked

__all__ = ["ADDRESS_OF", "END", "NAMES_OF", "NODES", "function_name", "write_slurm"]

NODES = 'mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")'
ADDRESS_OF = r"""# A node's name need not resolve, or resolves to loopback on the node itself: then Slurm's own address is taken.
address_of() {
  local found
  found=$(getent ahostsv4 "$1" | awk '{ print $1; exit }') || true
  case $found in
    "" | 127.*) found=$(scontrol show node "$1" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p') ;;
  esac
  echo "$found"
}"""
NAMES_OF = """names_of() {
  local IFS=,
  echo "${nodes[*]:$1:$2}"
}"""
END = (
    "# The first that ends ends the job, and with it the others.",
    "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT",
    "wait -n",
)
GRACE = 60
"""Seconds between the longest drain and Slurm's own end of the job; Slurm sends its signal up to a minute late."""


def write_slurm(instances: Sequence[Instance], site: Site, options: Options) -> Rendered:
    """`NAME.sbatch`, and an engine's configuration files beside it. The site's addresses are not used: Slurm picks the nodes.

    Raises:
        RenderError: the instances want different numbers of GPUs on a node.
    """
    if len({instance.launch.gpus_per_node for instance in instances}) > 1:
        raise RenderError("The instances want different numbers of GPUs on a node; write one Slurm job for each kind.")
    several = len(instances) > 1
    folded = [instance.folded(split=False, host=several and is_loopback(site.host)) for instance in instances]
    files = {name: text for commands in folded for name, text in commands[0].files.items()}
    lines = [
        "#!/usr/bin/env bash",
        *_directives(instances, options),
        *_notes(instances, site, options, files),
        "set -euo pipefail",
        "",
    ]
    for instance, commands in zip(instances, folded, strict=True):
        lines += [*_function(instance, commands, options), ""]
    if several:
        lines += [*_router(instances, site, options), "", NAMES_OF]
    lines += [ADDRESS_OF, "", NODES]
    if several:
        lines += [f'head_{at}=$(address_of "${{nodes[{instance.first}]}}")' for at, instance in enumerate(instances)]
        lines.append(_where(site, options.router_port, "head_0"))
        lines += [f"head=$head_{at} {_srun(instance)} &" for at, instance in enumerate(instances)]
        lines += ["router &", *END]
    else:
        lines += ['head=$(address_of "${nodes[0]}")', _where(site, site.port, "head"), f"head=$head {_srun(instances[0])}"]
    return Rendered(files={f"{options.name}.sbatch": "\n".join(lines) + "\n"} | files, executable=frozenset())


def _directives(instances: Sequence[Instance], options: Options) -> list[str]:
    launch = instances[0].launch
    pairs = [
        ("job-name", options.name),
        ("nodes", str(sum(instance.launch.nodes for instance in instances))),
        ("ntasks-per-node", str(_tasks(instances[0]))),
        ("gpus-per-node", str(launch.gpus_per_node)),
        ("time", options.time_limit),
        ("signal", f"TERM@{options.drain_seconds + GRACE}"),
        ("output", f"{options.name}-%j.log"),
        *((name, value) for name, value in (("partition", options.partition), ("account", options.account)) if value),
    ]
    return [*(f"#SBATCH --{name}={value}" for name, value in pairs), "#SBATCH --exclusive"]


def _notes(instances: Sequence[Instance], site: Site, options: Options, files: dict[str, str]) -> list[str]:
    traits = instances[0].engine.traits
    port = options.router_port if len(instances) > 1 else site.port
    lines = [
        f"# {options.name}: {traits.title} {traits.version}. Written by kimi-backend; start it with: sbatch {options.name}.sbatch"
    ]
    if files:
        lines.append(f"# Submit it from the folder that holds {', '.join(sorted(files))}; every node must see that folder.")
    lines.append(
        f"# Stop it with: scancel --signal=TERM JOB. Running requests then have {options.drain_seconds} s to end. Slurm does so too"
    )
    lines.append(
        "# before the time limit. Only the head heeds the signal: its other nodes still compute, and srun ends them after it."
    )
    lines.append(
        "# (This rests on ProctrackType=proctrack/cgroup, which signals a step's tasks and not the programs that they started.)"
    )
    if is_loopback(site.host):
        lines.append(
            f"# Clients reach port {port} from the first node only; from elsewhere: ssh -L {port}:127.0.0.1:{port} FIRST_NODE"
        )
    return lines


def function_name(instance: Instance) -> str:
    """Of the bash function that runs on each node of the instance."""
    return instance.label.replace("-", "_") or "serve"


def _function(instance: Instance, commands: Sequence[Command], options: Options) -> list[str]:
    """What runs on each node: the rank is known only there, so it must not be expanded in the batch shell."""
    world = is_world(instance.launch)
    lines = [f"{function_name(instance)}() {{", "  set -euo pipefail"]
    used = {part.name for command in commands for word in command.words for part in word if isinstance(part, Variable)}
    if instance.launch.nodes > 1 and not world:
        lines.append("  rank=$SLURM_PROCID")
    if "host" in used:
        lines.append("  host=$head")
    lines += path_lines(options, "  ") + export_lines(commands[0].env, "  ")
    if len(commands) == 1:
        lines += _array(commands[0], "  ")
    else:
        lines += ["  if ((rank == 0)); then", *_array(commands[0], "    "), "  else", *_array(commands[1], "    "), "  fi"]
    if instance.launch.nodes > 1 and not world:
        lines += ["  if ((rank > 0)); then", "    trap : TERM", '    "${command[@]}"', "    exit", "  fi"]
    end = ""
    if instance.site.api_key_file:
        key = key_lines(instance.engine, write_literal(instance.site.api_key_file))
        lines += [f"  {line}" for line in key.lines]
        end = f" {key.words}" if key.words else ""
    return [*lines, f'  exec "${{command[@]}}"{end}', "}"]


def _array(command: Command, indent: str) -> list[str]:
    lines = [line.removesuffix(" \\").strip() for line in command_lines("", command.words)]
    return [f"{indent}command=(", *(f"{indent}  {line}" for line in lines), f"{indent})"]


def _where(site: Site, port: int, head: str) -> str:
    """The job's log begins with where its clients go, which nobody knows before it runs."""
    return f'echo "Clients reach port {port} on ${head}{", from that node only" if is_loopback(site.host) else ""}."'


def _tasks(instance: Instance) -> int:
    return instance.launch.gpus_per_node if is_world(instance.launch) else 1


def _srun(instance: Instance) -> str:
    nodes, tasks, name = instance.launch.nodes, _tasks(instance), function_name(instance)
    words = [
        f"srun --nodes={nodes} --ntasks={nodes * tasks} --ntasks-per-node={tasks} --export=ALL",
        f"--kill-on-bad-exit=1 --wait={GRACE}",
        *(["--mpi=pmix"] if is_world(instance.launch) else []),
        *([f'--nodelist="$(names_of {instance.first} {nodes})"'] if instance.label else []),
        f'bash -c "$(declare -f {name}); {name}"',
    ]
    return " ".join(words)


def _router(instances: Sequence[Instance], site: Site, options: Options) -> list[str]:
    marks = {unused(f"head-{at}-", site): f"head_{at}" for at in range(len(instances))}
    words = router_argv(instances, list(marks), site, port=options.router_port, key=site.api_key_file)
    lines = ["router() {", *path_lines(options, "  "), "  command=("]
    return [*lines, *(f"    {write_word(marked(word, marks))}" for word in words), "  )", '  exec "${command[@]}"', "}"]
