"""Summaries and reports as tables for a terminal (rich)."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from .findings import Report
from .summary import Summary

__all__ = ["findings_table", "summary_table"]


def summary_table(summary: Summary) -> Table:
    """What a checkpoint holds."""
    table = Table(title=escape(str(summary.folder)), show_header=False)
    table.add_column("what", style="bold")
    table.add_column("value", justify="right")
    table.add_row("format", summary.format)
    table.add_row("parameters", f"{summary.parameters:,}")
    table.add_row("tensors", f"{summary.tensors:,} in {summary.files:,} files")
    table.add_row("layers", _layers(summary.layers))
    table.add_row("bytes", _size(summary.bytes), end_section=True)
    for dtype, count in summary.bytes_by_dtype.items():
        table.add_row(f"bytes of {dtype}", _size(count), end_section=dtype == [*summary.bytes_by_dtype][-1])
    for component, count in summary.components.items():
        table.add_row(component, f"{count:,} ({count / summary.parameters:.2%})")
    return table


def findings_table(report: Report) -> Table:
    """What is wrong, a row for each kind and file."""
    table = Table(title=f"{report.files:,} files, {report.tensors:,} tensors")
    for heading in ("", "where", "what", "to do"):
        table.add_column(heading, overflow="fold")
    if not report.findings:
        table.add_row("[green]ok[/]", "", "nothing is wrong; weights were not read", "")
    for group in report.groups():
        first = group.first
        where = ": ".join(part for part in (first.file, first.tensor) if part)
        more = f" (and {group.more:,} more like it)" if group.more else ""
        colour = "red" if first.level == "error" else "yellow"
        table.add_row(
            f"[{colour}]{first.level}[/]", escape(where or "the folder"), escape(first.problem + more), escape(first.remedy)
        )
    return table


def _layers(found: tuple[int, ...]) -> str:
    complete = found == tuple(range(len(found)))
    return str(len(found)) if complete else f"{len(found)}, with gaps before layer {found[-1]}"


def _size(count: int) -> str:
    """Bytes, in GB and in GiB: disks are sold in the one, cards' memory in the other."""
    large = f"{count / 1e9:,.2f} GB, {count / 2**30:,.1f} GiB"
    return f"{count:,} ({large if count >= 10**9 else f'{count / 1e6:,.3f} MB'})"
