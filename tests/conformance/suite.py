"""One run of the official suite, and what it found."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ..peers import Peers
from .known import Leg, applies

ROOT = Path(__file__).parents[2]
_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")


@dataclass(slots=True)
class Scenario:
    """The checks of one scenario: how many passed, and what did not.

    Attributes:
        problems: by check, what the suite says.
        last_words: the last line that our client wrote on standard error, where there are problems.
    """

    passed: int = 0
    problems: dict[str, str] = field(default_factory=dict[str, str])
    last_words: str = ""


def run(peers: Peers, leg: Leg, target: list[str], only: str | None = None) -> dict[str, Scenario]:
    """The scenarios of a leg by name, or `only` one of them. What the suite prints is passed over: its files say all."""
    which = ["--scenario", only] if only else ["--suite", "all"]
    options = ["--spec-version", leg.revision] if leg.revision else []
    if leg.role == "client":
        options += ["--timeout", "120000"]  # milliseconds for one scenario; the suite starts all of them at once
    with TemporaryDirectory() as folder:
        command = [*peers.npm(leg.suite), leg.role, *target, *which, *options, "-o", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
        found = {name: _scenario(file) for name, file in _files(Path(folder), leg.role) if applies(name)}
    if not found:
        raise SystemExit(f"conformance: the suite did not run:\n{(done.stdout + done.stderr)[-2000:]}")
    return found


def _files(folder: Path, role: str) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("checks.json")):
        name = _STAMP.sub("", str(file.parent.relative_to(folder)))
        yield name.removeprefix("server-") if role == "server" else name, file


def _scenario(file: Path) -> Scenario:
    scenario = Scenario()
    for check in json.loads(file.read_text(encoding="utf-8")):
        if check["status"] == "SUCCESS":
            scenario.passed += 1
        elif check["status"] in ("FAILURE", "WARNING"):
            said = check.get("errorMessage") or check.get("description") or ""
            scenario.problems[check["id"]] = f"{check['status'].lower()}: {said}"
    errors = file.with_name("stderr.txt")
    if scenario.problems and errors.exists():
        scenario.last_words = errors.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    return scenario


@contextmanager
def target_of(leg: Leg) -> Iterator[list[str]]:
    """What the suite is pointed at: our server, which runs for as long, or the command of our client."""
    if leg.role == "client":
        yield ["--command", f"{sys.executable} -m {__package__}.client"]
        return
    command = [sys.executable, "-m", f"{__package__}.server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            if not url:
                raise SystemExit(f"conformance: the server did not start: {' '.join(command)}")
            yield ["--url", url]
        finally:
            server.terminate()


def counted(scenarios: dict[str, Scenario]) -> Counter[str]:
    """Checks by their end."""
    found = Counter({"passed": sum(scenario.passed for scenario in scenarios.values())})
    found.update(said.split(":")[0] for scenario in scenarios.values() for said in scenario.problems.values())
    return found
