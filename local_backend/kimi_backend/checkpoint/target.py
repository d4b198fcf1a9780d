"""The folder that a conversion writes into: whose it is, what is finished in it, and whether the disk has room."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from ..atomic import partial_of, write_file
from .conversion import Conversion, Shard
from .errors import CheckpointError
from .folder import Checkpoint
from .index import INDEX_NAME, SUFFIX
from .strict_json import read_object

__all__ = ["STATE_NAME", "check_space", "claim", "is_finished", "locked", "other_files"]

#: Says what the folder was converted from, so that a later run goes on only with the same source. It stays there.
STATE_NAME: Final = ".kimi-conversion.json"
#: Weights in other forms, which would no longer be those of the converted checkpoint, and lists of hashes likewise.
_LEFT: Final = (SUFFIX, ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", "SHA256SUMS")


def claim(conversion: Conversion, target: Path) -> None:
    """Make `target` this conversion's folder; an earlier run's is taken over.

    Raises:
        CheckpointError: the folder holds something else, or the conversion of another source.
    """
    source = conversion.source.folder
    if target.resolve() == source.resolve():
        raise CheckpointError(f"{target} is the source itself; name another folder")
    target.mkdir(parents=True, exist_ok=True)
    state = _state(conversion)
    if (target / STATE_NAME).exists():
        if read_object(target / STATE_NAME) != state:
            what = "another checkpoint, another form, or files that were written since"
            raise CheckpointError(f"{target} holds a conversion of {what}; delete it or name another folder")
    elif foreign := sorted(path.name for path in target.iterdir() if path.name != partial_of(target / STATE_NAME).name):
        raise CheckpointError(f"{target} is not empty (it holds {foreign[0]!a}); name a new folder")
    else:
        write_file(target / STATE_NAME, json.dumps(state, indent=1, sort_keys=True).encode())


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """Keep a second conversion out of `folder`. The operating system frees it when the process dies.

    Raises:
        CheckpointError: another process converts into it.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another process converts into {folder}; wait for it, or name another folder") from error
        except OSError:
            pass  # a file system without locks, as clusters have them: there is nothing to hold
        yield
    finally:
        os.close(descriptor)


def is_finished(shard: Shard, target: Path) -> bool:
    """Whether the file was written by an earlier run: it took its name only when all of it was on the disk."""
    path = target / shard.name
    try:
        with path.open("rb") as file:
            return path.stat().st_size == shard.size and file.read(len(shard.head)) == shard.head
    except OSError:
        return False


def check_space(shards: Sequence[Shard], others: Sequence[Path], target: Path) -> None:
    """Refuse to begin what cannot end; leftovers of a killed run are removed first.

    Raises:
        CheckpointError: the disk has not enough room for the files that are still to be written.
    """
    for shard in shards:
        partial_of(target / shard.name).unlink(missing_ok=True)
    needed = sum(shard.size for shard in shards) + sum(path.stat().st_size for path in others)
    free = shutil.disk_usage(target).free
    if needed > free:
        numbers = f"{needed / 1e9:,.3f} GB are needed, {free / 1e9:,.3f} GB are free, {(needed - free) / 1e9:,.3f} GB are missing"
        raise CheckpointError(f"the disk of {target} is too small: {numbers}")


def other_files(source: Checkpoint) -> tuple[list[Path], list[str]]:
    """Files to copy as they are (tokenizer, template, code, licence), and names of what is left out: folders and other weights."""
    made = {INDEX_NAME, "config.json", STATE_NAME, *source.headers}
    entries = sorted(path for path in source.folder.iterdir() if path.name not in made)
    copied = [path for path in entries if path.is_file() and not path.name.endswith(_LEFT) and not path.name.startswith(".")]
    return copied, [path.name for path in entries if path not in copied]


def _state(conversion: Conversion) -> dict[str, object]:
    """What two runs must have in common. Times of change are part of it: weights of equal shapes have equal headers."""
    headers = conversion.source.headers.items()
    layout = hashlib.sha256(b"".join(shard.name.encode() + shard.head for shard in conversion.shards)).hexdigest()
    files = {name: [header.file_bytes, header.modified] for name, header in headers}
    return {"to": conversion.to, "layout": layout, "source": files}
