"""A plan for people to read: what is started, what each rank holds, how many tokens fit, what speed to expect (rich)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..engines import engine
from .memory import Part
from .plan import Plan
from .pool import RankMemory
from .refusal import count
from .roofline import Throughput
from .wish import STRATEGIES
from .words import GB, cache_share, layout, part_share, plain

__all__ = ["render"]

_CONTEXTS = (8_192, 32_768, 65_536, 131_072, 262_144)
_BOUND = "Not measured. The bound is all bytes read once at the memory's full bandwidth. "
_PUBLISHED = (
    "Expected is a share of it, for decoding alone: 3 to 5 % for one session and 20 to 40 % from a hundred on, as published runs "
    "of K2 suggest, and between these by the logarithm. With prefill among the decoding it is less: the mean of the same run at "
    "a hundred, prefill included, is 16 %."
)
_UNPUBLISHED = "What share of it is reached with experts on CPUs, nobody has published in enough detail to say."


def render(plan: Plan) -> RenderableType:
    """What `kimi-backend plan` prints. Fits 80 columns and says nothing by colour alone; 1 GB is 1e9 bytes."""
    blocks: list[RenderableType] = [
        _head(plan),
        _memory(plan),
        _cache(plan),
        _speed(plan),
        _lines("Why", plan.reasons),
        _lines("Warnings", plan.warnings),
    ]
    return Group(*blocks)


def _head(plan: Plan) -> Table:
    model, launch = plan.model, plan.launch
    traits = engine(plan.wish.engine).traits
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    sizes = f"{model.total_parameters / 1e9:,.1f} B parameters, {model.active_parameters / 1e9:.1f} B active for a token"
    rows = {
        "Model": f"{model.name}: {sizes}; {model.checkpoint_bytes / GB:,.1f} GB of weights, experts in {model.weight_format}",
        "GPUs": f"{plan.cluster}, {plan.cluster.gpu.memory / GB:.1f} GB and {plan.cluster.gpu.bandwidth / 1e12:g} TB/s each",
        "Engine": f"{traits.title} {traits.version}, {launch.memory_fraction:g} of {_of_what(plan)}, {launch.kv_dtype} KV cache",
        "Layout": f"{_instances(plan)}: {layout(launch)}; {STRATEGIES[plan.strategy].partition(':')[0]}",
        "Context": f"up to {launch.context:,} tokens, prompt and answer together{_at_once(plan)}",
    }
    for name, told in rows.items():
        table.add_row(name, Text(plain(told)))
    return table


def _at_once(plan: Plan) -> str:
    most = plan.launch.max_running
    return f"; at most {count(most, 'request')} computed at once by an instance" if most is not None else ""


def _of_what(plan: Plan) -> str:
    free = engine(plan.wish.engine).traits.fraction_of_free
    return "what the weights leave of each card" if free else "each card"


def _instances(plan: Plan) -> str:
    launch = plan.launch
    size = f"{count(launch.nodes * launch.gpus_per_node, 'GPU')} on {count(launch.nodes, 'node')}"
    if plan.strategy == "disaggregated":
        return f"1 prefill and 1 decode instance, {size} each"
    return f"{count(len(plan.instances), 'instance')} of {size}" + (" each" if len(plan.instances) > 1 else "")


def _memory(plan: Plan) -> RenderableType:
    table = _table("Memory of a rank, GB (1 GB = 1e9 bytes)")
    table.add_column("part", no_wrap=True)
    table.add_column("a rank holds", no_wrap=True)
    columns = list(_columns(plan))
    for name, _ in columns:
        table.add_column(name, justify="right", overflow="fold")
    for name, share in _part_rows(plan):
        table.add_row(name, share, *(_part_gb(rank, name, share, plan) for _, rank in columns))
    table.add_section()
    for name, share, read in _sums(plan):
        table.add_row(name, share, *(f"{read(rank) / GB:.2f}" for _, rank in columns))
    lines: list[RenderableType] = [table]
    if plan.launch.cpu_experts is not None:
        lines.append(Text(_host(plan)))
    return Padding(Group(*lines), (1, 0, 0, 0))


def _columns(plan: Plan) -> Iterator[tuple[str, RankMemory]]:
    """A column for each stage; neighbours that hold as much share one, so that many stages still fit a line."""
    if len(plan.memory) == 1:
        yield "GB", plan.memory[0]
        return
    for _, alike in groupby(enumerate(plan.memory), key=lambda found: (found[1].parts, found[1].kv, found[1].rest)):
        found = list(alike)
        (first, rank), (last, end) = found[0], found[-1]
        stages = f"stage {first}" if first == last else f"stages {first}-{last}"
        yield f"{stages}\nlayers\n{rank.stage.first}-{end.stage.first + end.stage.layers - 1}", rank


def _part_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each part once, although the first stage has an embedding and the last a head; the largest first."""
    parts = sorted((part for rank in plan.memory for part in rank.parts), key=lambda part: -part.bytes)
    yield from dict.fromkeys((part.name, part_share(part, plan.launch)) for part in parts)


def _part_gb(rank: RankMemory, name: str, share: str, plan: Plan) -> str:
    def wanted(part: Part) -> bool:
        return (part.name, part_share(part, plan.launch)) == (name, share)

    found = [part.bytes for part in rank.parts if wanted(part)]
    if not found:
        return "-"
    return "<0.01" if 0 < sum(found) < 0.005 * GB else f"{sum(found) / GB:.2f}"


def _sums(plan: Plan) -> Iterator[tuple[str, str, Callable[[RankMemory], int]]]:
    yield "all weights", "", lambda rank: rank.weights
    inside = any(rank.activations for rank in plan.memory)
    if inside:
        yield "activations", "", lambda rank: rank.activations
    yield "KV cache", cache_share(plan.launch), lambda rank: rank.kv
    yield ("rest: CUDA" if inside else "rest: CUDA, activations"), "", lambda rank: rank.rest
    yield "card", "", lambda rank: rank.card


def _host(plan: Plan) -> str:
    experts = plan.launch.cpu_experts
    of_each = f" of {plan.model.architecture.n_routed_experts} routed experts a layer are on the GPUs"
    told = f"{experts.gpu_experts if experts else 0}{of_each}; the others take {plan.host_bytes / GB:.1f} GB of the node's memory"
    host = plan.cluster.host
    return told + (f" of {host.ram / GB:.1f} GB." if host else ".")


def _cache(plan: Plan) -> RenderableType:
    pool, model, launch = plan.pool, plan.model, plan.launch
    groups = f"{pool.tokens_per_group:,} in each of {count(pool.groups, 'attention group')}" if pool.groups > 1 else ""
    together = f"{count(_holding(plan), 'instance')} together" if _holding(plan) > 1 else ""
    notes = ", ".join(filter(None, (groups, together, f"{model.kv_bytes_per_token(launch.kv_dtype):,} bytes a token")))
    table = _table("")
    table.add_column("tokens a session", justify="right")
    table.add_column("sessions held at once", justify="right")
    for context in sorted({*(c for c in _CONTEXTS if c < launch.context), launch.context}):
        table.add_row(f"{context:,}", f"{pool.sessions(context) * _holding(plan):,}")
    return Padding(Group(Text(f"KV cache: {plan.tokens:,} tokens ({notes})"), table), (1, 0, 0, 0))


def _holding(plan: Plan) -> int:
    return 1 if plan.strategy == "disaggregated" else len(plan.instances)


def _speed(plan: Plan) -> RenderableType:
    title = "Decoding" + (" of one instance" if len(plan.instances) > 1 else "") + ", expected tokens/s"
    if not plan.throughput:
        return Padding(Text(f"{title}: the bandwidth of the node's memory is not known, so there is no estimate."), (1, 0, 0, 0))
    expected = all(row.low is not None for row in plan.throughput)
    table = _table(title)
    for name in ("sessions", "tokens in each", "bandwidth bound", *(("expected", "each session") if expected else ())):
        table.add_column(name, justify="right")
    for row in plan.throughput:
        table.add_row(f"{row.batch:,}", f"{row.context:,}", _rate(row.bound), *_expected(row))
    return Padding(Group(table, Text(_BOUND + (_PUBLISHED if expected else _UNPUBLISHED))), (1, 0, 0, 0))


def _expected(row: Throughput) -> Iterator[str]:
    if row.low is not None and row.high is not None:
        for sessions in (1, row.batch):
            yield f"{_rate(row.low / sessions)} - {_rate(row.high / sessions)}"


def _rate(tokens: float) -> str:
    return f"{tokens:,.0f}" if tokens >= 10 else f"{tokens:.1f}"


def _lines(title: str, sentences: tuple[str, ...]) -> RenderableType:
    if not sentences:
        return Text("", end="")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for sentence in sentences:
        table.add_row("-", Text(plain(sentence)))
    return Padding(Group(Text(title, style="bold"), table), (1, 0, 0, 0))


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
