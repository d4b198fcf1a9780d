"""Servers' names for their tools, as names that a model may call: a map there, kept by each tool, and so back."""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

LONGEST = 64
_HASH = 8  # digits
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")
_SAY_NOTHING = {"mcp", "sse", "http", "https", "stdio", "index", "main", "dist", "build", "src", "bin", "run", "start", "server"}
_LEGAL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]*")


def legal_name(name: str, prefix: str = "") -> str:
    """The name if a model may call it, else what is legal of it with 8 digits of its SHA-256: the same for the same name."""
    wanted = prefix + name
    if _LEGAL.fullmatch(wanted) and len(wanted) <= LONGEST:
        return wanted
    stem = _ILLEGAL.sub("_", wanted).strip("-") or "tool"
    if not (stem[0].isalpha() or stem[0] == "_"):
        stem = f"tool_{stem}"
    return marked(stem, wanted)


def marked(stem: str, name: str) -> str:
    """The stem with what tells it from others."""
    digits = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    return f"{stem[: LONGEST - _HASH - 1]}_{digits}"


def legal_names(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Legal names by the server's own; two that would become one are told apart."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        legal = legal_name(name, prefix)
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
