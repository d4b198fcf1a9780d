"""A plan as a picture: what stands on a card, a bar for each kind of rank (matplotlib)."""

# matplotlib's own stubs leave every **kwargs untyped
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import write_file
from ..engines import engine
from ..errors import BackendError
from .memory import ABSORBED, Part
from .plan import Plan
from .pool import RankMemory
from .words import GB, layout, plain, stage_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ChartError", "draw"]

# Parts that a person would add up anyway: alone, most are thinner than a line. Colours: Okabe and Ito, "Color Universal Design".
_GROUPS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "routed": ("routed experts", "#0072B2", ("routed experts",)),
    "attention": ("attention", "#E69F00", ("attention, heads", "attention, low-rank inputs", ABSORBED)),
    "mlp": ("shared experts, dense MLP", "#CC79A7", ("shared experts", "dense MLP")),
    "outer": ("embedding, lm_head", "#D55E00", ("embedding", "lm_head")),
    "other": ("router, norms", "#000000", ()),
    "activations": ("activations", "#F0E442", ()),
    "kv": ("KV cache", "#009E73", ()),
    "rest": ("rest", "#DDDDDD", ()),
}
_HATCH = "////"
_WIDE = 0.045
"""Share of the axis from which a segment has room for its number."""
_INCHES = 10.0


class ChartError(BackendError):
    """A chart that cannot be drawn or written; the text says what to change."""


@dataclass(frozen=True, slots=True)
class _Segment:
    label: str
    colour: str
    replicated: bool
    bytes: int


def draw(plan: Plan, path: Path) -> None:
    """Draws the memory of a rank of each stage, in GB (1e9 bytes). An SVG of equal plans has equal bytes.

    Args:
        plan: the plan.
        path: where it is written, as SVG or PNG by its ending; a file that is there is replaced.

    Raises:
        ChartError: another ending, no matplotlib, or a folder that cannot be written to.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in ("svg", "png"):
        raise ChartError(f"{path}: a chart is written as SVG or PNG; name a file that ends in .svg or .png")
    _write(path, _picture(plan, form))


def _picture(plan: Plan, form: str) -> bytes:
    try:
        from matplotlib import style
    except ImportError as error:
        raise ChartError("a chart needs matplotlib: pip install 'kimi-agent[backend]'") from error
    target = BytesIO()
    # no settings of the user's own, since they would change what is drawn; no ids that differ from run to run
    with (
        style.context(["default", {"svg.hashsalt": "kimi-backend", "hatch.linewidth": 0.7}], after_reset=True),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)  # a name in Chinese
        _figure(plan).savefig(target, format=form, dpi=160, metadata={"Date": None} if form == "svg" else None)
    return target.getvalue()


def _figure(plan: Plan) -> Figure:
    from matplotlib.figure import Figure

    bars = [list(_segments(rank, plan)) for rank in plan.memory]
    labels = list(dict.fromkeys((s.label, s.colour, s.replicated) for bar in bars for s in bar))
    columns = 2 if len(bars) < 3 else 1
    heights = (0.75, 0.35 + 0.55 * len(bars), 0.75 + 0.2 * -(-len(labels) // columns))  # title; bars; axis and legend
    figure = Figure(figsize=(_INCHES, sum(heights)))
    total = sum(heights)
    axes = figure.add_axes(
        (0.17 if len(bars) > 1 else 0.05, heights[2] / total, 0.78 if len(bars) > 1 else 0.9, heights[1] / total)
    )
    _bars(axes, plan, bars)
    _heading(figure, plan, total)
    _legend(figure, labels, bars, columns)
    return figure


def _bars(axes: Axes, plan: Plan, bars: list[list[_Segment]]) -> None:
    card = plan.cluster.gpu.memory / GB
    for row, bar in enumerate(bars):
        left = 0.0
        for segment in bar:
            width = segment.bytes / GB
            axes.barh(
                row, width, left=left, height=0.6, color=segment.colour, edgecolor="white", linewidth=0.4, hatch=_hatch(segment)
            )
            if width >= _WIDE * card:
                behind = {"facecolor": segment.colour, "edgecolor": "none", "pad": 1.5}  # no hatching through the digits
                ink = _ink(segment)
                axes.text(left + width / 2, row, f"{width:.1f}", ha="center", va="center", color=ink, fontsize=10, bbox=behind)
            left += width
    axes.axvline(card, color="black", linewidth=1.6)
    axes.text(card, 1.02, f"card {card:.1f} GB", ha="right", va="bottom", fontsize=9, transform=axes.get_xaxis_transform())
    axes.set(xlim=(0, card * 1.003), ylim=(len(bars) - 0.5, -0.5), xlabel="GB (1e9 bytes)")
    names = [stage_name(rank.stage, i).replace(", ", "\n") for i, rank in enumerate(plan.memory)]
    axes.set_yticks(range(len(bars)) if len(bars) > 1 else [], names if len(bars) > 1 else [])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _heading(figure: Figure, plan: Plan, inches: float) -> None:
    launch = plan.launch
    first = f"{plan.model.name} on {plan.cluster}: memory of {'a rank of each stage' if len(plan.memory) > 1 else 'each rank'}"
    second = (
        f"{engine(launch.engine).traits.title}: {layout(launch)}; {launch.memory_fraction:g} of the card; "
        f"KV cache in {launch.kv_dtype}: {plan.pool.tokens:,} tokens an instance"
    )
    size = min(13.0, 13.0 * 78 / len(first))  # a folder's name may be long
    figure.text(0.05, 1 - 0.3 / inches, plain(first), fontsize=size, weight="bold", va="center", parse_math=False)
    figure.text(0.05, 1 - 0.53 / inches, second, fontsize=10, va="center", parse_math=False)


def _legend(figure: Figure, labels: list[tuple[str, str, bool]], bars: list[list[_Segment]], columns: int) -> None:
    from matplotlib.patches import Patch

    handles: list[Patch] = []
    for label, colour, replicated in labels:
        sizes = " / ".join(_size(bar, label, replicated) for bar in bars)
        told = f"{label}{', on every rank' if replicated else ''}: {sizes} GB"
        handles.append(Patch(facecolor=colour, edgecolor="white", hatch=_HATCH if replicated else "", label=told))
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.04, 0.0), ncols=columns, frameon=False, fontsize=9)


def _size(bar: list[_Segment], label: str, replicated: bool) -> str:
    return f"{sum(s.bytes for s in bar if (s.label, s.replicated) == (label, replicated)) / GB:.2f}"


def _segments(rank: RankMemory, plan: Plan) -> Iterator[_Segment]:
    """Sharded parts of a group before those that every rank holds."""
    for key, (label, colour, _) in _GROUPS.items():
        for replicated in (False, True):
            parts = [p for p in rank.parts if _group(p) == key and (plan.launch.tp > 1 and not p.sharded) == replicated]
            if parts:
                yield _Segment(label, colour, replicated, sum(p.bytes for p in parts))
        whole = {"activations": rank.activations, "kv": rank.kv, "rest": rank.rest}.get(key, 0)
        if whole:
            yield _Segment(label, colour, False, whole)


def _group(part: Part) -> str:
    return next((key for key, (_, _, names) in _GROUPS.items() if part.name in names), "other")


def _hatch(segment: _Segment) -> str:
    return _HATCH if segment.replicated else ""


def _ink(segment: _Segment) -> str:
    return "black" if segment.colour in ("#DDDDDD", "#F0E442", "#E69F00") else "white"


def _write(path: Path, content: bytes) -> None:
    try:
        write_file(path, content)
    except OSError as error:
        raise ChartError(f"{path} could not be written: {error.strerror or error}; name a file in a folder of yours") from error
