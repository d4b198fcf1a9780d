"""Our reading of command lines is that of the engines' own parsers; `tests/engines_real/record.py` wrote their answers down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.engines.flags import load

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))


def of(path: Path) -> tuple[str, str, list[dict[str, Any]]]:
    engine, _, version = path.stem.rpartition("-")
    return engine, version, json.loads(path.read_text(encoding="utf-8"))


def test_every_engine_is_recorded() -> None:
    assert len(RECORDED) == 5


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_we_refuse_what_the_engine_refuses(path: Path) -> None:
    engine, version, recorded = of(path)
    snapshot = load(engine, version)
    for said in recorded:
        errors = [p for p in snapshot.check(said["argv"]) if p.severity == "error" and not beyond(p.text, p.kind)]
        assert bool(errors) != said["accepted"], (said["argv"], errors)


def beyond(text: str, kind: str) -> bool:
    """What the engine finds out only after its parser: a name that it has not registered, a flag that needs another."""
    return text.endswith("beside it.") or (kind == "mistyped" and "; it has " in text)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_we_read_the_values_that_the_engine_reads(path: Path) -> None:
    engine, version, recorded = of(path)
    snapshot, compared = load(engine, version), 0
    for said in recorded:
        if said["accepted"] and not any(p.severity == "error" for p in snapshot.check(said["argv"])):
            parsed = snapshot.parse(said["argv"])
            for dest in parsed.given & set(said["values"]):
                assert json.dumps(parsed[dest]) == json.dumps(said["values"][dest]), (said["argv"], dest)
                compared += 1
    assert compared > 100 or engine == "sglang-router"
