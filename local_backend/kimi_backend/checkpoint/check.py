"""`verify`: whether a checkpoint is whole, and is the model that its config.json describes, from headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..specs import SpecError, read_architecture, read_config, read_formats
from .check_files import check_index, check_places, read_headers
from .check_tensors import check_tensors
from .check_texts import check_texts
from .errors import CheckpointError
from .findings import Finding, Report
from .headers import Header
from .index import INDEX_NAME, Index, read_index, shard_names

__all__ = ["verify"]


def verify(path: str | Path) -> Report:
    """Check the checkpoint in the folder `path`; only headers and small files are read, never the weights.

    Index against files, files' sizes, every tensor's name, shape and element type against config.json, scales, layers,
    tokenizer and chat template. To compare the weights themselves with another copy, see `hashes`.

    Raises:
        CheckpointError: there is no checkpoint in that folder.
    """
    folder = Path(path)
    names = shard_names(folder)
    findings: list[Finding] = []
    index = None
    try:
        index = read_index(folder)
    except CheckpointError as error:
        findings.append(Finding("error", "index", str(error), f"download {INDEX_NAME} again", INDEX_NAME))
    headers, unreadable = read_headers(folder, names)
    findings += unreadable
    findings += check_index(index, names)
    findings += check_places(index, headers)
    findings += _check_model(folder, index, headers)
    return Report(tuple(findings), len(headers), sum(len(header.tensors) for header in headers.values()))


def _check_model(folder: Path, index: Index | None, headers: Mapping[str, Header]) -> Iterator[Finding]:
    try:
        config = read_config(folder)
        arch, formats = read_architecture(config), read_formats(config)
    except SpecError as error:
        yield Finding("error", "config", str(error), "download config.json again", "config.json")
        return
    found = {tensor: (file, info) for file, header in headers.items() for tensor, info in header.tensors.items()}
    unread = {tensor for tensor, file in index.weight_map.items() if file not in headers} if index else set[str]()
    yield from check_tensors(arch, formats, found, unread)
    try:
        yield from check_texts(folder, config)
    except OSError as error:
        yield Finding("error", "unreadable", f"{error.filename}: {error.strerror}", "make the file readable")
