"""Fetching the peers where no index can be reached: nothing half is left, and CI is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9/simple"  # the discard port: nobody listens


@pytest.mark.slow
@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_offline(tmp_path: Path, ci: str, code: int) -> None:
    offline = {"UV_DEFAULT_INDEX": NOWHERE, "UV_HTTP_RETRIES": "0", "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "0"}
    quiet = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "PIP_NO_INDEX": "1"}
    environment = os.environ | offline | quiet | {"KIMI_AGENT_CACHE": str(tmp_path / "cache"), "CI": ci}
    environment.pop("PIP_FIND_LINKS", None)
    command = [sys.executable, "-m", "tests.peers"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "will be skipped" in done.stderr
    left = [file.name for file in (tmp_path / "cache" / "peers").iterdir()]
    assert len(left) == 1 and left[0].endswith(".lock")
