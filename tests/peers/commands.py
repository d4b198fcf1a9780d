"""The command lines of the peers, and what a test does that needs one."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from .fetch import node_of, place, python_of


@dataclass(frozen=True, slots=True)
class Peers:
    """What was fetched. Every method gives a command line that needs nothing of the machine, not even its `PATH`."""

    root: Path

    def npm(self, package: str, file: str = "dist/index.js") -> tuple[str, ...]:
        """`node FILE` of a package of `pins.NPM`."""
        return (str(node_of(self.root) / "bin" / "node"), str(self.root / "node_modules" / package / file))

    def python(self, module: str) -> tuple[str, ...]:
        """`python -m MODULE` in the servers' own environment."""
        return (str(python_of(self.root)), "-m", module)

    def everything(self, transport: str = "stdio") -> tuple[str, ...]:
        return (*self.npm("@modelcontextprotocol/server-everything"), transport)

    def filesystem(self, *folders: Path) -> tuple[str, ...]:
        return (*self.npm("@modelcontextprotocol/server-filesystem"), *map(str, folders))

    def memory(self) -> tuple[str, ...]:
        """Keeps its graph in the file that the environment variable `MEMORY_FILE_PATH` names."""
        return self.npm("@modelcontextprotocol/server-memory")

    def time(self) -> tuple[str, ...]:
        return (*self.python("mcp_server_time"), "--local-timezone", "Asia/Shanghai")

    def git(self, repository: Path) -> tuple[str, ...]:
        return (*self.python("mcp_server_git"), "--repository", str(repository))

    def fetch(self) -> tuple[str, ...]:
        return self.python("mcp_server_fetch")

    def inspector(self) -> tuple[str, ...]:
        """The Inspector without a browser: `--method tools/list COMMAND…` or a URL."""
        return (*self.npm("@modelcontextprotocol/inspector", "clients/launcher/build/index.js"), "--cli")

    def version(self, package: str) -> str:
        """Which version of an npm package lies there."""
        file = self.root / "node_modules" / package / "package.json"
        return str(json.loads(file.read_text(encoding="utf-8"))["version"])


def peers() -> Peers | None:
    """What was fetched, or None. Fetches nothing."""
    return Peers(place()) if place().exists() else None


def needed() -> Peers:
    """For a fixture: the peers; without them the test is skipped, by name, and fails where `CI` is set."""
    found = peers()
    if found is not None:
        return found
    text = "needs the MCP servers of others: make peers"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)
