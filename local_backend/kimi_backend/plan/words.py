"""Words that the table and the chart of a plan share."""

from __future__ import annotations

from ..launch import Launch
from .memory import Part, Stage

__all__ = ["GB", "cache_share", "layout", "part_share", "plain", "stage_name"]

GB = 1e9
"""Bytes; the makers of cards and disks count so, and nvidia-smi does not: its MiB are 1,048,576 bytes."""


def layout(launch: Launch) -> str:
    """`TP 16, attention DP 16, EP 16`: the ways in which an instance is split, those of 1 left out."""
    ways = {"TP": launch.tp, "PP": launch.pp, "attention DP": launch.attention_dp, "EP": launch.ep, "DCP": launch.dcp}
    return ", ".join(f"{name} {count}" for name, count in ways.items() if count > 1 or name == "TP")


def part_share(part: Part, launch: Launch) -> str:
    """How much of a part a rank of its stage holds: `1/16`, or all of it as every other rank does."""
    if part.sharded:
        return f"1/{part.ways}"
    return "replicated" if launch.tp > 1 else "whole"


def cache_share(launch: Launch) -> str:
    """Whose tokens a rank's KV cache holds: MLA's latent cache has no heads that could be split over ranks."""
    group = launch.tp // launch.attention_dp
    if launch.dcp > 1:
        return f"1/{launch.dcp} of its group"
    if group == 1:
        return "own requests" if launch.tp > 1 else "whole"
    return "replicated" if group == launch.tp else f"its group of {group}"


def stage_name(stage: Stage, index: int) -> str:
    """`stage 0, layers 0-30`, counted from 0 as in the checkpoint."""
    return f"stage {index}, layers {stage.first}-{stage.first + stage.layers - 1}"


def plain(text: str) -> str:
    """Text in which names from outside (a folder, a device) cannot steer a terminal or break an XML file."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
