"""Convert a checkpoint between block-fp8 and bf16: streaming, resumable, in constant memory. Needs torch."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from ..atomic import new_file, write_file
from ..specs import read_config
from .conversion import Conversion, Form, Shard, convert_config, plan_conversion
from .errors import CheckpointError
from .folder import open_checkpoint
from .hashes import Progress
from .index import INDEX_NAME, SINGLE_NAME
from .streaming import stream_shard
from .target import check_space, claim, is_finished, locked, other_files

__all__ = ["Form", "Progress", "Result", "convert"]

#: No room: of the disk, of the user's quota, of a file's largest size.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Result:
    """What a conversion did."""

    target: Path
    written: int
    """Files of weights that this run wrote."""
    kept: int
    """Files that an earlier run had finished."""
    converted: int
    """Tensors that changed their form, in all files; the others were copied as they are."""
    bytes: int
    """Bytes of all new files of weights."""
    left_out: tuple[str, ...]
    """What was in the source's folder and was not copied: folders, hidden files, weights in other formats."""


def convert(source: str | Path, target: str | Path, *, to: Form, progress: Progress | None = None) -> Result:
    """Convert the checkpoint in the folder `source` into the new folder `target`.

    A file takes its final name only when all of it is on the disk. After an interruption of any kind, the same call goes
    on with the files that are not finished, and the end is the same to the byte. config.json comes last: a folder without it
    is not complete. Where all is finished, only the small files are written again. The hidden
    file `.kimi-conversion.json`, which stays in the target, tells what it was converted from.

    Args:
        source: a checkpoint of block-fp8 (`to="bf16"`) or of bf16 (`to="fp8"`).
        target: a folder that is new, empty, or of an earlier run of this conversion.
        to: what the linear layers' weights become; embedding, head, router and norms stay as they are.
        progress: told the file, the bytes that are written, and the bytes in all.

    Raises:
        CheckpointError: the source is damaged or not convertible, the target is not free, the disk is too small or became
            full, or a file was cut or changed meanwhile. Finished files are kept, no half file is left under its final name.
        SpecError: config.json is missing or is not that of a K2-like model.
    """
    start, end = Path(source), Path(target)
    checkpoint = open_checkpoint(start)
    config = read_config(start)
    conversion = plan_conversion(checkpoint, config, to)
    try:
        with locked(end), _one_thread():
            claim(conversion, end)
            others, left_out = other_files(checkpoint)
            todo = [shard for shard in conversion.shards if not is_finished(shard, end)]
            check_space(todo, others, end)
            _write_shards(conversion, todo, end, progress or _silent)
            _write_rest(conversion, config, others, end)
    except OSError as error:
        raise CheckpointError(f"{error.filename or end}: {error.strerror or error}") from error
    size = sum(shard.size for shard in conversion.shards)
    return Result(end, len(todo), len(conversion.shards) - len(todo), conversion.changed, size, tuple(left_out))


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    """One thread of torch: slabs are so small that others would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_shards(conversion: Conversion, todo: Sequence[Shard], target: Path, progress: Progress) -> None:
    total = sum(shard.size for shard in conversion.shards)
    done = total - sum(shard.size for shard in todo)
    for shard in todo:
        progress(shard.name, done, total)

        def told(count: int, name: str = shard.name) -> None:
            nonlocal done
            done += count
            progress(name, done, total)

        try:
            with new_file(target / shard.name) as file:
                stream_shard(conversion, shard, file, told)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise _full(shard, target, error) from error


def _full(shard: Shard, target: Path, error: OSError) -> CheckpointError:
    free = shutil.disk_usage(target).free
    numbers = f"{shard.name} needs {shard.size / 1e9:,.3f} GB and {free / 1e9:,.3f} GB are free in {target}"
    return CheckpointError(f"no room left ({error.strerror}): {numbers}. Finished files are kept: make room and convert again")


def _write_rest(conversion: Conversion, config: dict[str, Any], others: Iterable[Path], target: Path) -> None:
    for path in others:
        with path.open("rb") as file, new_file(target / path.name) as copy:
            shutil.copyfileobj(file, copy)
    source = conversion.source
    if source.index or [*source.headers] != [SINGLE_NAME]:
        write_file(target / INDEX_NAME, _index(conversion))
    write_file(target / "config.json", _json(convert_config(config, conversion.to)))


def _index(conversion: Conversion) -> bytes:
    index = conversion.source.index
    total = sum(tensor.bytes for shard in conversion.shards for tensor in shard.tensors.values())
    metadata = {**(index.metadata if index else {}), "total_size": total}
    places = {name: shard.name for shard in conversion.shards for name in shard.tensors}
    return _json({"metadata": metadata, "weight_map": dict(sorted(places.items()))})


def _json(value: object) -> bytes:
    # Half of a character, which JSON can spell and UTF-8 cannot, becomes the escape that it was: \ud800 is JSON's own spelling.
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""
