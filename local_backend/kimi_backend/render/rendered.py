"""The files that a plan was written out as, and how they reach a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..atomic import new_file
from .errors import RenderError

__all__ = ["Rendered", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Texts by relative file name, in the order in which a reader wants them."""

    files: Mapping[str, str]
    executable: frozenset[str] = field(default_factory=frozenset[str])
    """Names of the files that are programs."""


def write(rendered: Rendered, folder: Path, *, force: bool = False) -> list[Path]:
    """Write the files under `folder`. Each appears whole or not at all; nothing is overwritten unless `force`.

    Raises:
        RenderError: a file is there already, or a file or folder is in the way.
    """
    paths = {name: folder / name for name in rendered.files}
    there = [str(path) for path in paths.values() if path.exists() or path.is_symlink()]
    if there and not force:
        raise RenderError(f"{', '.join(there)} is there already; remove it, choose another folder or overwrite with force.")
    try:
        for name, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, rendered.files[name], 0o755 if name in rendered.executable else 0o644)
    except OSError as problem:
        raise RenderError(f"{problem.filename}: {problem.strerror}; nothing is left half written there.") from problem
    return list(paths.values())


def _replace(path: Path, text: str, mode: int) -> None:
    with new_file(path) as file:
        os.fchmod(file.fileno(), mode)
        file.write(text.encode())
