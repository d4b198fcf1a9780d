"""Numbers as people write them: tokens as 128k, bytes as 1.5TB."""

from __future__ import annotations

import re

import typer

__all__ = ["size_of", "tokens_of"]

_TOKENS = re.compile(r"(\d{1,9})([kKmM]?)", re.ASCII)
_BYTES = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([KMGT]i?B)", re.ASCII)
_UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def tokens_of(text: str) -> int:
    """`131072`, or `128k` and `1m` in powers of two, as context lengths are meant."""
    match = _TOKENS.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no number of tokens: write 131072 or 128k")
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024**2}[match[2].lower()]


def size_of(text: str) -> int:
    """`1.5TB` or `640GiB`, in bytes."""
    match = _BYTES.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no size: write 1.5TB or 640GiB")
    return int(float(match[1]) * _UNITS[match[2]])
