"""BFCL v4 `simple_python`, `multiple` and `irrelevance`, out of the wheel of `bfcl-eval`, read as data.

The wheel is downloaded by version through pip and never installed or imported. Data: Apache-2.0, the Gorilla project.
Scoring: the name must be right and every required argument must be one of the possible answers; `strict` asks that of
the optional ones as well. In `irrelevance` no call is right.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

from embedded_harness import JsonObject

PACKAGE = "bfcl-eval==2026.3.23"
KINDS = {"simple": "simple_python", "multiple": "multiple", "irrelevance": "irrelevance"}
#: BFCL's names of types, and JSON Schema's.
TYPES = {"dict": "object", "float": "number", "tuple": "array", "String": "string", "any": None}


def cases(kind: str, count: int, offset: int, cache: Path) -> list[JsonObject]:
    """`count` cases, evenly spaced from row `offset` on: id, messages, tools, and the possible answer (or None)."""
    with zipfile.ZipFile(_wheel(cache)) as archive:
        name = f"BFCL_v4_{KINDS[kind]}.json"
        rows = _lines(archive.read(f"bfcl_eval/data/{name}"))
        answers: dict[str, Any] = {}
        if kind != "irrelevance":
            for row in _lines(archive.read(f"bfcl_eval/data/possible_answer/{name}")):
                answers[row["id"]] = row["ground_truth"][0]
    step = len(rows) / min(count, len(rows))
    chosen = [rows[(int(i * step) + offset) % len(rows)] for i in range(min(count, len(rows)))]
    return [
        {
            "id": row["id"],
            "messages": row["question"][0],
            "tools": [_tool(f) for f in row["function"]],
            "answer": answers.get(row["id"]),
        }
        for row in chosen
    ]


def judge(case: JsonObject, calls: list[JsonObject]) -> tuple[bool, bool, bool]:
    """(name right, required arguments right, all arguments right) for the calls made; no call for irrelevance."""
    if case["answer"] is None:
        return not calls, not calls, not calls
    if len(calls) != 1:
        return False, False, False
    ((name, possible),) = case["answer"].items()
    function = calls[0]["function"]
    if function["name"] != _name(name):
        return False, False, False
    arguments = json.loads(function["arguments"])
    schema = next(t["function"]["parameters"] for t in case["tools"] if t["function"]["name"] == _name(name))
    required = [k for k in schema.get("required", []) if k in possible]
    right = all(_among(possible[k], arguments, k) for k in required)
    every = all(_among(possible[k], arguments, k) for k in possible) and set(arguments) <= set(possible)
    return True, right, right and every


def _wheel(cache: Path) -> Path:
    folder = cache / "bfcl"
    found = list(folder.glob("bfcl_eval-2026.3.23-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", PACKAGE]
        subprocess.run([*command, "--dest", str(folder)], check=True)
        found = list(folder.glob("bfcl_eval-2026.3.23-*.whl"))
    return found[0]


def _lines(data: bytes) -> list[JsonObject]:
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def _name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)


def _tool(function: JsonObject) -> JsonObject:
    entry = {**function, "name": _name(function["name"]), "parameters": _schema(function["parameters"])}
    return {"type": "function", "function": entry}


def _schema(schema: JsonObject) -> JsonObject:
    """JSON Schema out of BFCL's dialect."""
    out = {k: v for k, v in schema.items() if k not in ("type", "properties", "items", "default")}
    kind = TYPES.get(schema.get("type", "string"), schema.get("type"))
    if kind:
        out["type"] = kind
    if isinstance(schema.get("properties"), dict):
        out["properties"] = {k: _schema(v) for k, v in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        out["items"] = _schema(schema["items"])
    return out


def _among(possible: list[Any], arguments: JsonObject, key: str) -> bool:
    if key not in arguments:
        return "" in possible
    return any(_equal(p, arguments[key]) for p in possible)


def _equal(wanted: Any, got: Any) -> bool:
    """As BFCL's checker: texts without case, space and punctuation; numbers by value; members of an object by lists."""
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        return float(wanted) == float(got)
    if isinstance(wanted, list) and isinstance(got, list):
        left, right = cast("list[Any]", wanted), cast("list[Any]", got)
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(wanted, dict) and isinstance(got, dict):
        members, made = cast(JsonObject, wanted), cast(JsonObject, got)
        needed = {k for k, v in members.items() if "" not in _listed(v)}
        return needed <= set(made) and all(k in members and any(_equal(p, v) for p in _listed(members[k])) for k, v in made.items())
    return _plain(str(cast(object, wanted))) == _plain(str(cast(object, got)))


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _plain(text: str) -> str:
    return re.sub(r"[ \,\.\/\-\_\*\^]", "", text).lower().replace("'", '"')
