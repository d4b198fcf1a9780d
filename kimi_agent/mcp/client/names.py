"""Servers' names for their tools, as names that a model may call: a map there, kept by each tool, and so back."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from kimi_agent.tooling.legal_names import legal_name, marked

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")
_SAY_NOTHING = {"mcp", "sse", "http", "https", "stdio", "index", "main", "dist", "build", "src", "bin", "run", "start", "server"}


def legal_names(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Legal names by the server's own; two that would become one are told apart."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        legal = legal_name(prefix + name)
        if legal in taken:
            legal = marked(legal, prefix + name)
        taken.add(legal)
        found[name] = legal
    return found


def server_name(words: Iterable[str]) -> str:
    """A name for a server that was given none, of its command or URL: `npx -y @scope/server-memory` is `memory`."""
    words = [urlsplit(word).hostname or word if "://" in word else word for word in words]
    if len(words) == 1 and "." in words[0] and "/" not in words[0]:
        return _ILLEGAL.sub("_", words[0])[:32]  # a host
    for word in reversed([w for w in words if not w.startswith("-")]):
        parts = [p for p in re.split(r"[/\\@:?#]+|\.(?:py|js|ts|exe|cmd)$", word) if p and not re.fullmatch(r"[\d.]+", p)]
        for part in reversed(parts):
            stem = _ILLEGAL.sub("_", part).strip("_-.")
            stem = re.sub(r"^(?:mcp[-_])?(?:server[-_])?|[-_](?:mcp|server)(?:[-_](?:mcp|server))*$", "", stem)
            if stem and stem not in _SAY_NOTHING:
                return stem[:32]
    return "mcp"
