"""YAML with comments, written so that every string arrives as it is. Nothing but mappings, lists, strings, numbers and booleans."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Note", "Tree", "documents"]

Tree = Mapping[str, "Tree | Note"] | Sequence["Tree | Note"] | str | int | bool | None

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Note:
    """A value with a comment above it."""

    comment: str
    value: Tree


def documents(trees: Sequence[Mapping[str, Tree | Note]], comment: str = "") -> str:
    """The documents of one file, with a comment at its head."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + "---\n".join("\n".join(_lines(tree, "")) + "\n" for tree in trees)


def _lines(tree: Tree, indent: str) -> list[str]:
    if isinstance(tree, Mapping):
        return [line for key, value in tree.items() for line in _entry(f"{_scalar(key)}:", value, indent)]
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [line for value in tree for line in _item(value, indent)]
    return [indent + _scalar(tree)]


def _entry(key: str, value: Tree | Note, indent: str) -> list[str]:
    if isinstance(value, Note):
        return [*(f"{indent}# {line}" for line in value.comment.splitlines()), *_entry(key, value.value, indent)]
    if isinstance(value, str) and (block := _block(value, indent + "  ")):
        return [f"{indent}{key} |", *block]
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        if value:
            return [indent + key, *_lines(value, indent + "  ")]
        return [f"{indent}{key} {'{}' if isinstance(value, Mapping) else '[]'}"]
    return [f"{indent}{key} {_scalar(value)}"]


def _item(value: Tree | Note, indent: str) -> list[str]:
    if isinstance(value, Note):
        return [*(f"{indent}# {line}" for line in value.comment.splitlines()), *_item(value.value, indent)]
    if isinstance(value, str) and (block := _block(value, indent + "  ")):
        return [f"{indent}- |", *block]
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        lines = _lines(value, indent + "  ")
        comments = next(at for at, line in enumerate(lines) if not line.lstrip().startswith("#"))
        first = lines[comments].removeprefix(indent + "  ")
        return [*(line[2:] for line in lines[:comments]), f"{indent}- {first}", *lines[comments + 1 :]]
    return [f"{indent}- {_scalar(value)}"]


def _block(text: str, indent: str) -> list[str]:
    """A text of several ordinary lines stays readable as a block; anything unusual is quoted instead."""
    ordinary = text.endswith("\n") and not text.endswith("\n\n") and text[0] not in " \n" and text.replace("\n", "").isprintable()
    if not ordinary or UNPRINTABLE.search(text):
        return []
    return [indent + line if line else "" for line in text[:-1].split("\n")]


def _scalar(value: str | int | bool | Tree | None) -> str:
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in WORDS:
            return value
        # JSON's strings are YAML's, but YAML wants these characters escaped, and knows no surrogate pairs.
        return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))
    return json.dumps(value)
