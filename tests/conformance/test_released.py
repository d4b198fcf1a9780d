"""The released suite, in `make test`; `make conformance` runs the newest harness too."""

import subprocess
import sys
from pathlib import Path

import pytest
from peers import needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize("side", ["server", "client"])
def test_all_is_as_it_must_be(side: str) -> None:
    needed()
    command = [sys.executable, "-m", "tests.conformance.run", "released", side]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=390)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as it must be" in done.stdout
