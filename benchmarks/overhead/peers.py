"""An environment for each peer, outside the repository: peers pin versions that exclude each other."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.overhead.catalogue import Driver


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/kimi-agent/peers`, else `~/.cache/kimi-agent/peers`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "kimi-agent" / "peers"


def interpreter_of(driver: Driver, folder: Path) -> str:
    """The interpreter that has the peer, installed if it is not there yet. Raises CalledProcessError where pip cannot."""
    home = folder / driver.name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = home / "installed"
    if not done.exists():
        print(f"installs {driver.title} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *driver.requirements]
        subprocess.run(pip, check=True)
        done.touch()
    return str(python)


def versions_of(python: str, distributions: tuple[str, ...]) -> list[str]:
    """`name version` of each, as that interpreter has them."""
    code = "import sys, importlib.metadata as m; print(*[f'{n} {m.version(n)}' for n in sys.argv[1:]], sep='\\n')"
    out = subprocess.run([python, "-c", code, *distributions], capture_output=True, text=True, check=True).stdout
    return out.split("\n")[:-1] if distributions else []
