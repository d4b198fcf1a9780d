"""`kimi-backend plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..atomic import write_file
from ..hardware import Cluster, Host, live_cluster, parse_cluster
from ..launch import EngineName, KVType
from ..plan import Goal, Plan, Strategy, Wish, make_plan
from ..specs import find_model
from .failing import told
from .sizes import size_of, tokens_of

__all__ = ["plan"]


@told
def plan(
    gpus: Annotated[str, typer.Option(help="16xH200, nodes x GPUs as 2x8xH200, NAME:MIB:TB_PER_S for another card, or live.")],
    model: Annotated[str, typer.Option(help="A shipped spec, or the folder of a checkpoint.")] = "kimi-k2-0905",
    engine: Annotated[EngineName, typer.Option(help="Which engine.")] = "sglang",
    context: Annotated[str, typer.Option(help="Longest sequence in tokens, such as 128k.")] = "128k",
    sessions: Annotated[int | None, typer.Option(min=1, help="Sequences of that length to hold at once.")] = None,
    goal: Annotated[Goal, typer.Option(help="What the layout is chosen for.")] = "latency",
    layout: Annotated[Strategy | None, typer.Option(help="Take this layout, or refuse.")] = None,
    attention_dp: Annotated[int | None, typer.Option(min=1, help="Attention groups of an instance.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Instances that the GPUs are divided into.")] = None,
    kv: Annotated[KVType | None, typer.Option(help="Type of the KV cache.")] = None,
    memory_fraction: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Share of a card for the engine.")] = None,
    max_running: Annotated[int | None, typer.Option(min=1, help="Requests computed at once.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes over which the GPUs are spread; with live, equal nodes.")] = None,
    thinking: Annotated[bool | None, typer.Option("--thinking/--no-thinking", help="Whether a checkpoint thinks.")] = None,
    ram: Annotated[str | None, typer.Option(help="Memory of a node, for experts on CPUs: 1TB.")] = None,
    ram_bandwidth: Annotated[str | None, typer.Option(help="Of it, a second, over all sockets: 600GB.")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Physical cores of a node.")] = None,
    numa: Annotated[int | None, typer.Option(min=1, help="NUMA nodes of a node; 1 unless said.")] = None,
    gpu_experts: Annotated[int | None, typer.Option(min=0, help="Experts a layer that stay on the GPUs.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The plan as JSON on standard output.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the plan to this file, for `render --plan`.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Draw the memory per rank to this .svg or .png.")] = None,
) -> None:
    """Plan: does it fit, in which layout, how many sessions, how fast. Refuses with numbers what cannot be."""
    wish = Wish(
        engine=engine,
        context=tokens_of(context),
        sessions=sessions,
        goal=goal,
        strategy=layout,
        attention_dp=attention_dp,
        replicas=replicas,
        kv_dtype=kv,
        memory_fraction=memory_fraction,
        max_running=max_running,
        gpu_experts=gpu_experts,
    )
    bandwidth = float(size_of(ram_bandwidth)) if ram_bandwidth is not None else None
    cluster = _cluster(gpus, nodes, _host(ram, bandwidth, cores, numa), bandwidth)
    made = make_plan(find_model(model, thinking=thinking), cluster, wish)
    _show(made, as_json=json, output=output, chart=chart)


def _host(ram: str | None, bandwidth: float | None, cores: int | None, numa: int | None) -> Host | None:
    if numa is not None and (ram is None or cores is None):
        raise typer.BadParameter("--numa is of a node that --ram and --cores describe: say all three")
    if ram is None and cores is None:
        return None
    if ram is None or cores is None:
        raise typer.BadParameter("say both --ram and --cores, or neither")
    return Host(ram=size_of(ram), cores=cores, numa_nodes=numa or 1, bandwidth=bandwidth)


def _cluster(gpus: str, nodes: int | None, host: Host | None, bandwidth: float | None) -> Cluster:
    if gpus == "live":
        return live_cluster(nodes or 1, host=host, bandwidth=bandwidth)
    if host is None and bandwidth is not None:
        raise typer.BadParameter("--ram-bandwidth is that of a node's memory: say --ram and --cores, too, or --gpus live")
    return parse_cluster(gpus, nodes=nodes, host=host)


def _show(made: Plan, *, as_json: bool, output: Path | None, chart: Path | None) -> None:
    from rich.console import Console

    from ..plan.chart import draw
    from ..plan.table import render

    if output is not None and not output.name:
        raise typer.BadParameter(f"--output {str(output)!r} is no file's name")
    if output is not None:
        write_file(output, made.to_json().encode())
    if chart is not None:
        draw(made, chart)
    if as_json:
        typer.echo(made.to_json(), nl=False)
    else:
        Console().print(render(made))
