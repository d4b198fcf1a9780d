"""What is published: the sdist and the wheel hold what they should, and the wheel works in an environment of its own."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the package index may be slow
ROOT = Path(__file__).parent.parent
PACKAGES = ("kimi_agent", "kimi_tools", "kimi_backend")
AGENT = """
import kimi_backend, kimi_tools
from kimi_agent import Agent, ScriptedModel, call
model = ScriptedModel([call("current_time", timezone="UTC"), "Late."])
result = Agent(model, tools=[kimi_tools.current_time]).run_sync("How late is it?")
assert result.output == "Late." and "+00:00" in model.requests[1].messages[-1].text, result
print("ran")
"""


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path
    wheel_from_sdist: Path


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}  # else this checkout is imported
    return subprocess.run([str(c) for c in command], cwd=cwd, env=outside, capture_output=True, text=True)


def done(*command: object, cwd: Path) -> str:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build(source: Path, kind: str, out: Path) -> Path:
    done(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source, cwd=out.parent)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("built")
    sdist = build(ROOT, "sdist", place / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return Built(sdist, build(ROOT, "wheel", place / "wheel"), build(unpacked, "wheel", place / "again"))


@pytest.fixture(scope="module")
def python(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a fresh environment with the wheel and what it depends on, and no extra."""
    place = tmp_path_factory.mktemp("fresh")
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    done(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", built.wheel, cwd=place)
    yield python


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def test_a_wheel_from_the_sdist_is_the_same(built: Built) -> None:
    assert contents(built.wheel) == contents(built.wheel_from_sdist)


def test_the_wheel_holds_the_packages_and_nothing_else(built: Built) -> None:
    names = contents(built.wheel)
    tops = {name.split("/")[0] for name in names}
    (information,) = tops - set(PACKAGES)
    assert information.endswith(".dist-info") and tops > set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names.keys()
    assert b"Apache License" in names[f"{information}/licenses/LICENSE"]
    data = sorted(n for n in names if not n.endswith((".py", "/py.typed")) and not n.startswith(information))
    tables = [n for n in data if n.startswith("kimi_backend/engines/flags/data/") or n.startswith("kimi_backend/specs/data/")]
    assert [n for n in data if n not in tables] == [
        "kimi_agent/verify/faults/dev.jsonl",
        "kimi_backend/checkpoint/tiny/chat_template.jinja",
        "kimi_backend/engines/flags/known.json",
    ]
    assert sum("/flags/data/sglang-" in n or "/flags/data/vllm-" in n for n in tables) >= 4
    assert sum("/specs/data/kimi-k2" in n for n in tables) == 4
    assert not [name for name in names if "test_" in name]


def test_the_sdist_holds_what_the_tests_need(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    needed = [
        "LICENSE",
        "CONTRIBUTING.md",
        "Makefile",
        "mkdocs.yml",
        "tests/test_docs.py",
        "tests/loopback.py",
        "examples/weather.py",
    ]
    assert not set(needed) - names
    assert not [name for name in names if name.startswith((".venv", ".git/", "dist")) or "__pycache__" in name]


def test_it_runs_where_nothing_else_is(python: Path, tmp_path: Path) -> None:
    assert done(python, "-c", AGENT, cwd=tmp_path) == "ran\n"


def test_its_door_imports_no_extra(python: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        done(python, "-W", "error", "-c", f"import {package}", cwd=tmp_path)


def test_the_command_line_says_which_extra_is_missing(python: Path, tmp_path: Path) -> None:
    for command in ("kimi-agent", "kimi-backend"):
        result = run(python.with_name(command), "--help", cwd=tmp_path)
        assert result.returncode != 0
        assert "kimi-agent[cli]" in result.stderr and "Traceback" not in result.stderr, command


def test_with_the_extra_it_runs(built: Built, python: Path, tmp_path: Path) -> None:
    """Last: it changes the environment of the tests above."""
    done(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        f"kimi-agent[cli] @ {built.wheel.as_uri()}",
        cwd=tmp_path,
    )
    version = built.wheel.name.split("-")[1]
    assert done(python.with_name("kimi-agent"), "--version", cwd=tmp_path) == f"kimi-agent {version}\n"
    assert "fetch" in done(python.with_name("kimi-backend"), "--help", cwd=tmp_path)
