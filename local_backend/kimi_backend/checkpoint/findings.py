"""What a check of a checkpoint found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Group", "Report"]

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    """An error keeps an engine from loading the model, or from computing what it should."""
    kind: str
    """What kind of fault, a word or two that do not change: `missing-shard`, `cut`, `shape`, …"""
    problem: str
    remedy: str
    """What to do about it."""
    file: str | None = None
    tensor: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one kind in one file: a missing layer or a wrong configuration gives thousands."""

    first: Finding
    more: int
    """How many follow."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    findings: tuple[Finding, ...]
    files: int
    tensors: int

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not any(finding.level == "error" for finding in self.findings)

    def groups(self) -> Iterator[Group]:
        """The findings by kind and file, errors first, else in the order of the check."""
        counted: dict[tuple[str, str, str | None], list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda finding: finding.level):
            counted.setdefault((finding.level, finding.kind, finding.file), []).append(finding)
        return (Group(found[0], len(found) - 1) for found in counted.values())
