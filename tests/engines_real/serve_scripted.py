"""A real vLLM that serves a checkpoint on this machine's CPU: one process, or two "nodes" with a tensor parallel rank each.

`ENVIRONMENT` is what `tests/engine_environments.py vllm` made. A person can look at one:

    python tests/engines_real/serve_scripted.py ENVIRONMENT [--nodes 2] [--keep]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
MODEL = "kimi-k2"
# Loopback only, no look-ups, and no more threads than the machine has cores.
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
}
START = 300.0  # seconds that a start may take


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


class Served:
    """A server that answers.

    Attributes:
        url: of its API, up to and with `/v1`.
        started: seconds from its start until it was healthy.
    """

    def __init__(self, port: int, started: float) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.started = started

    def post(self, **body: Any) -> str:
        """The body of the answer of `/v1/chat/completions`."""
        told = json.dumps({"model": MODEL, "max_tokens": 100, **body}).encode()
        with urlopen(Request(f"{self.url}/chat/completions", told, {"Content-Type": "application/json"}), timeout=120) as answer:
            return answer.read().decode()

    def choice(self, **body: Any) -> dict[str, Any]:
        """The only choice of an answer that is not streamed."""
        return json.loads(self.post(**body))["choices"][0]

    def streamed(self, **body: Any) -> tuple[dict[str, Any], str | None]:
        """A streamed answer put together: the message and the finish reason."""
        message: dict[str, Any] = {"content": "", "tool_calls": []}
        reason: str | None = None
        for line in self.post(stream=True, **body).splitlines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line.removeprefix("data: "))["choices"]:
                reason = choice.get("finish_reason") or reason
                _add(message, choice["delta"])
        return message, reason


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    message["content"] += delta.get("content") or ""
    for part in delta.get("tool_calls") or ():
        calls = message["tool_calls"]
        while len(calls) <= part["index"]:
            calls.append({"id": "", "function": {"name": "", "arguments": ""}})
        call = calls[part["index"]]
        call["id"] += part.get("id") or ""
        for key, value in (part.get("function") or {}).items():
            call["function"][key] += value or ""


@contextmanager
def serve(environment: Path, checkpoint: Path, log: Path, *, nodes: int = 1, flags: Sequence[str] = ()) -> Generator[Served]:
    """The server while the block lasts; its processes are gone after it. `flags`: more of them, for every node.

    Raises:
        RuntimeError: it did not start; the text has the end of its log.
    """
    port, rendezvous = free_port(), free_port()
    with ExitStack() as stack, log.open("wb") as out:
        begun = time.monotonic()
        processes = [
            stack.enter_context(
                _group([str(environment / "bin" / "vllm"), *_flags(checkpoint, port, rendezvous, node, nodes)], out)
            )
            for node in reversed(range(nodes))
        ]
        while not _healthy(port):
            if any(p.poll() is not None for p in processes) or time.monotonic() - begun > START:
                raise RuntimeError(f"vLLM did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.5)
        yield Served(port, time.monotonic() - begun)


def _flags(checkpoint: Path, port: int, rendezvous: int, node: int, nodes: int) -> list[str]:
    flags = ["serve", str(checkpoint), "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    flags += ["--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "2048", "--max-num-seqs", "8"]
    flags += ["--enable-auto-tool-choice", "--tool-call-parser", "kimi_k2"]
    if nodes > 1:
        flags += ["--tensor-parallel-size", str(nodes), "--nnodes", str(nodes), "--node-rank", str(node)]
        flags += ["--master-addr", "127.0.0.1", "--master-port", str(rendezvous), *(["--headless"] if node else [])]
    return flags


@contextmanager
def _group(command: list[str], out: Any) -> Generator[subprocess.Popen[bytes]]:
    """A process with a group of its own, which ends with it: vLLM's workers outlive a parent that is killed."""
    process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **ENVIRONMENT}, start_new_session=True)
    try:
        yield process
    finally:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, ending)
                process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def _healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("environment", type=Path)
    wanted.add_argument("--nodes", type=int, default=1)
    wanted.add_argument("--keep", action="store_true", help="serve until Ctrl-C")
    asked = wanted.parse_args()
    from kimi_backend.checkpoint.tiny import Call, make_scripted

    with tempfile.TemporaryDirectory() as place:
        make_scripted(Path(place) / "k2", [Call("get_weather", {"city": "Tokyo"}), "It is sunny in Tokyo."])
        with serve(asked.environment, Path(place) / "k2", Path(place) / "log", nodes=asked.nodes) as served:
            print(f"{served.url} after {served.started:.1f} s")
            print(json.dumps(served.choice(messages=[{"role": "user", "content": "Tokyo?"}], tools=[TOOL])))
            while asked.keep:
                time.sleep(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
