"""The small server, as tests start it: a process for each client, or one behind a URL for many."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kimi_agent import MCPServer

PROGRAM = Path(__file__).with_name("small_server.py")


def small(**options: Any) -> MCPServer:
    """Over stdio; use it as a context manager, or close it."""
    return MCPServer(sys.executable, str(PROGRAM), **{"name": "small", **options})


@contextmanager
def small_over_http() -> Iterator[str]:
    """The URL of one that runs meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(port)], stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the small server did not start")
