"""Index against files: what is missing, cut, in the wrong file, or in two."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from .errors import CheckpointError
from .findings import Finding
from .headers import Header, read_header
from .index import INDEX_NAME, Index

__all__ = ["check_index", "check_places", "read_headers"]

AGAIN: Final = "download the file again"
_NUMBERED = re.compile(r"^(?P<stem>.+)-(?P<number>\d+)-of-(?P<count>\d+)\.safetensors$")


def read_headers(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, Header], list[Finding]]:
    """The headers that can be read, by file name, and what is wrong with files. A cut file's header is still of use."""
    headers: dict[str, Header] = {}
    findings: list[Finding] = []
    for name in names:
        try:
            headers[name] = read_header(folder / name, whole=False)
        except CheckpointError as error:
            findings.append(Finding("error", "unreadable", str(error), AGAIN, name))
            continue
        if problem := headers[name].size_problem:
            findings.append(Finding("error", "cut" if "short" in problem else "too-long", f"the file {problem}", AGAIN, name))
    return headers, findings


def check_index(index: Index | None, names: tuple[str, ...]) -> Iterator[Finding]:
    """Files that the index names and the folder lacks, and the other way round."""
    if index is None:
        yield from _check_numbers(names)
        if len(names) > 1:
            problem = f"{len(names)} files and no {INDEX_NAME}: nothing tells which belong to the model"
            yield Finding("error", "no-index", problem, f"download {INDEX_NAME}", INDEX_NAME)
        return
    held = _counts(index.weight_map)
    for name in sorted(held.keys() - set(names)):
        yield Finding(
            "error", "missing-shard", f"the file is missing; the index places {held[name]:,} tensors in it", "download it", name
        )
    for name in sorted(set(names) - held.keys()):
        problem = "the index does not name this file, yet some engines load every safetensors file of the folder"
        yield Finding("warning", "extra-shard", problem, "move it out of the folder", name)


def check_places(index: Index | None, headers: Mapping[str, Header]) -> Iterator[Finding]:
    """Each tensor must be in one file, the one that the index tells."""
    place: dict[str, str] = {}
    for file, header in headers.items():
        for tensor in header.tensors:
            if tensor in place:
                yield Finding(
                    "error", "in-two-files", f"the tensor is in {place[tensor]} too", "remove the wrong file", file, tensor
                )
            place.setdefault(tensor, file)
    if index:
        yield from _check_map(index, headers, place)
        yield from _check_total(index, headers)


def _check_map(index: Index, headers: Mapping[str, Header], place: Mapping[str, str]) -> Iterator[Finding]:
    remedy = f"download this file and {INDEX_NAME} again, both of one revision"
    for tensor, file in index.weight_map.items():
        if file not in headers or tensor in headers[file].tensors:
            continue
        if found := place.get(tensor):
            yield Finding("error", "in-other-file", f"the index places the tensor here, and it is in {found}", remedy, file, tensor)
        else:
            yield Finding("error", "in-no-file", "the index places the tensor here, and no file holds it", remedy, file, tensor)
    named = set(index.weight_map.values())
    for tensor, file in place.items():
        if tensor not in index.weight_map and file in named:
            yield Finding(
                "error", "not-in-index", "the index does not name the tensor: engines will not load it", remedy, file, tensor
            )


def _check_total(index: Index, headers: Mapping[str, Header]) -> Iterator[Finding]:
    """The index's `total_size` is read by people and downloaders only, so that a wrong one is no error."""
    named = set(index.weight_map.values())
    if index.total_size is None or not named <= headers.keys():
        return
    total = sum(headers[name].data_bytes for name in named)
    if total != index.total_size:
        problem = f"total_size is {index.total_size:,} and the tensors have {total:,} bytes"
        yield Finding("warning", "total-size", problem, f"download {INDEX_NAME} again", INDEX_NAME)


def _check_numbers(names: tuple[str, ...]) -> Iterator[Finding]:
    """Without an index the files' own numbers tell what is missing: model-00002-of-00062.safetensors."""
    found = [match for name in names if (match := _NUMBERED.match(name))]
    for count, stem in sorted({(match["count"], match["stem"]) for match in found}):
        width = len(count)
        # A name may claim any count.
        wanted = (f"{stem}-{number:0{width}}-of-{count}.safetensors" for number in range(1, min(int(count), 10_000) + 1))
        for name in sorted(set(wanted) - set(names)):
            yield Finding("error", "missing-shard", "the file is missing, as the names of the others tell", "download it", name)


def _counts(weight_map: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for file in weight_map.values():
        found[file] = found.get(file, 0) + 1
    return found
