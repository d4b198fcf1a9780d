"""Any text as a name that every endpoint takes for a tool."""

import hashlib
import re

_LONGEST = 64
_HASH = 8  # digits
_LEGAL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")  # no $: those are Moonshot's own
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")


def legal_name(name: str) -> str:
    """The name if every endpoint takes it, else what is legal of it with 8 digits of its SHA-256, at most 64 characters. The same
    for the same name."""
    if _LEGAL.fullmatch(name):
        return name
    stem = _ILLEGAL.sub("_", name).strip("-") or "tool"
    if not (stem[0].isalpha() or stem[0] == "_"):
        stem = f"tool_{stem}"
    return marked(stem, name)


def marked(stem: str, name: str) -> str:
    """The stem with what tells this name from others that have the same."""
    digits = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    return f"{stem[: _LONGEST - _HASH - 1]}_{digits}"
