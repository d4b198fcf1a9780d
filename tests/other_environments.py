"""The fast tests, and those of the command line, elsewhere: under other Pythons, and on the lowest versions of pyproject.toml.

`make test-pythons` and `make test-lower-bounds` run this. Each environment is a virtual environment inside `.venv`, so that
`make clean` and git know of it already; `uv` makes them, from the package index.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
USED = (
    "anthropic",
    "backend",
    "cli",
    "embedded",
    "mcp",
    "openai",
    "tools",
)  # extras that the fast tests use
QUICK = ("-q", "-n", "2", "-p", "no:cacheprovider")
SELECTIONS = (("-m", "not slow and not real_model and not drill", "tests"), ("-m", "slow", "tests/cli"))


def uv(*arguments: str) -> None:
    subprocess.run([str(Path(sys.executable).with_name("uv")), *arguments], cwd=ROOT, check=True)


def interpreter(version: str) -> str | None:
    """A Python of this version: on the PATH, pyenv's, or one that uv knows. Only what runs counts: pyenv's shims may not."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    own = sorted((pyenv / "versions").glob(f"{version}.*/bin/python{version}"))
    for found in [shutil.which(f"python{version}"), *reversed(own), *_known_to_uv(version)]:
        if found and _answers(str(found), version):
            return str(found)
    return None


def _known_to_uv(version: str) -> list[str]:
    find = [str(Path(sys.executable).with_name("uv")), "python", "find", "--managed-python", "--no-python-downloads", version]
    return subprocess.run(find, capture_output=True, text=True).stdout.split("\n")[:1]


def _answers(python: str, version: str) -> bool:
    ask = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(ask, capture_output=True, text=True).stdout.strip() == version


def run_tests(name: str, python: str, *, constraints: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> bool:
    """The tests in an environment of their own. Whether they pass."""
    place = ROOT / ".venv" / f"for-{name}"
    uv("venv", "--quiet", "--clear", "--seed", "--python", python, str(place))
    inside = str(place / "bin" / "python")
    extras = ",".join([*USED, "test"])
    uv("pip", "install", "--quiet", "--python", inside, "-e", f".[{extras}]", *constraints)
    print(f"── {name}", flush=True)
    commands = [[inside, "-m", "pytest", *QUICK, *options, *selection] for selection in SELECTIONS]
    return all([subprocess.run(command, cwd=ROOT).returncode == 0 for command in commands])


def pythons() -> bool:
    """Each Python that is there. A missing one fails in CI, and is told elsewhere."""
    good = True
    for version in PYTHONS:
        if found := interpreter(version):
            good &= run_tests(f"python{version}", found)
        else:
            print(f"── python{version}: not found", flush=True)
            good &= not os.environ.get("CI")
    return good


def lower_bounds() -> bool:
    """Our direct dependencies at their lowest, the test tools and everything indirect at their newest."""
    direct = {_name(d) for d in _declared()} - {"typing-extensions"}  # the test tools want the newest; pydantic says the lowest
    compiled = ROOT / ".venv" / "lowest.txt"
    extras = [word for extra in USED for word in ("--extra", extra)]
    lowest = ("--resolution", "lowest-direct", "--no-header", "--no-annotate", "--quiet", "--python", sys.executable)
    uv("pip", "compile", *lowest, *extras, "pyproject.toml", "-o", str(compiled))
    pins = [line for line in compiled.read_text(encoding="utf-8").splitlines() if _name(line) in direct]
    compiled.write_text("\n".join(pins) + "\n", encoding="utf-8")
    print(*pins, sep="\n", flush=True)
    # old packages use what newer ones below them have deprecated, which is not ours to mend
    return run_tests(
        "lower-bounds", sys.executable, constraints=("-c", str(compiled)), options=("-W", "ignore::DeprecationWarning")
    )


def _declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(d for extra in USED for d in project["optional-dependencies"][extra])]


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    kinds = {"pythons": pythons, "lower-bounds": lower_bounds}
    sys.exit(not kinds[sys.argv[1]]())
