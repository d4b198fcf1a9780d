"""A plan as a file: what is written is read to the same plan, and nothing in it is believed that can be worked out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.plan import Plan, PlanRefused, read_plan
from plan_makers import DUAL_SOCKET, THINKING, planned

PLANS: dict[str, Callable[[], Plan]] = {
    "tensor": lambda: planned("16xH200"),
    "attention-dp": lambda: planned("16xH200", sessions=50),
    "pipeline": lambda: planned("16xH100", engine="vllm", strategy="pipeline"),
    "replicas": lambda: planned("16xB200"),
    "disaggregated": lambda: planned("16xB200", strategy="disaggregated"),
    "cpu-experts": lambda: planned("2xRTX4090-48", THINKING, host=DUAL_SOCKET, engine="ktransformers", context=65_536),
    "own card": lambda: planned("16xMINE:143771:4.8", kv_dtype="fp8", max_running=64),
}


def _told_apart_from_the_comparison(plan: Plan) -> dict[str, Any]:
    fields = (
        "model",
        "cluster",
        "wish",
        "strategy",
        "instances",
        "memory",
        "pool",
        "host_bytes",
        "sessions",
        "throughput",
        "warnings",
    )
    return {name: getattr(plan, name) for name in fields}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    plan = PLANS[name]()
    file = tmp_path / "plan.json"
    file.write_text(plan.to_json(), encoding="utf-8")
    again = read_plan(file)
    assert _told_apart_from_the_comparison(again) == _told_apart_from_the_comparison(plan)
    # sentences about layouts that were not taken are the planner's, and a file is no longer a choice
    assert [line for line in plan.reasons if not line.startswith("Instead")] == list(again.reasons)


def test_the_file_tells_a_reader_without_python_what_was_worked_out() -> None:
    told = json.loads(planned("16xH200").to_json())["worked_out"]
    assert told["kv_bytes_per_token"] == 70_272
    assert told["total_parameters"] == sum(told["parameters"].values()) == 1_026_408_232_448
    assert told["kv_tokens"] == pytest.approx(997_757, rel=0.001)
    (rank,) = told["ranks"]
    assert sum(part["bytes"] for part in rank["weights"]) == rank["weights_bytes"]
    assert {part["part"] for part in rank["weights"] if part["ways"] == 1} == {"attention, low-rank inputs", "router", "norms"}


def _tampered(tmp_path: Path, change: Callable[[Any], object], plan: Plan | None = None) -> Path:
    content = json.loads((plan or planned("16xH200")).to_json())
    change(content)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "less memory": (lambda c: c["instances"][0].update(memory_fraction=0.3), "does not fit"),
    "too long": (lambda c: c["instances"][0].update(context=262_145), "262,144"),
    "half the ranks": (lambda c: c["instances"][0].update(tp=8), "plan"),
    "other nodes": (lambda c: c["instances"][0].update(nodes=4, tp=32), "plan"),
    "odd groups": (lambda c: c["instances"][0].update(attention_dp=3, tp=16), "plan"),
    "other engine": (lambda c: c["instances"][0].update(engine="vllm"), "not of the engine"),
    "text for a number": (lambda c: c["instances"][0].update(memory_fraction="much"), "memory_fraction"),
    "more instances": (lambda c: c["instances"].append(c["instances"][0]), "plan"),
    "no instances": (lambda c: c["instances"].clear(), "plan"),
    "other cards": (lambda c: c["cluster"]["gpu"].update(memory_mib=60_000), "does not fit"),
    "fewer nodes": (lambda c: c["cluster"].update(nodes=1), "plan"),
    "other strategy": (lambda c: c.update(strategy="disaggregated"), "plan"),
    "unknown strategy": (lambda c: c.update(strategy="magic"), "strategy"),
    "later version": (lambda c: c.update(version=2), "version"),
    "unknown field": (lambda c: c.update(run="rm -rf /"), "run"),
    "no width": (lambda c: c["model"]["architecture"].pop("hidden_size"), "hidden_size"),
    "no layers": (lambda c: c["model"]["architecture"].update(num_hidden_layers=0), "num_hidden_layers"),
    "no format": (lambda c: c["model"]["formats"].pop("router"), "plan"),
    "no wish": (lambda c: c.pop("wish"), "wish"),
    "a billion nodes": (lambda c: (c["cluster"].update(nodes=10**9), c["instances"][0].update(nodes=10**9, pp=10**9)), "no plan"),
    "a billion layers": (lambda c: c["model"]["architecture"].update(num_hidden_layers=10**9), "num_hidden_layers"),
    "a billion experts": (lambda c: c["model"]["architecture"].update(n_routed_experts=2**31), "n_routed_experts"),
    "no bandwidth": (lambda c: c["cluster"]["gpu"].update(bandwidth=0), "no card has"),
    "bandwidth that is no number": (lambda c: c["cluster"]["gpu"].update(bandwidth=float("nan")), "plan"),
    "less than no memory": (lambda c: c["cluster"]["gpu"].update(memory_mib=-1), "no card has"),
    "a node of nothing": (lambda c: c["cluster"].update(host={"ram": 0, "cores": 0}), "no node has"),
    "a share that is no number": (lambda c: c["instances"][0].update(memory_fraction=float("nan")), "plan"),
    "a context of nothing": (lambda c: c["instances"][0].update(context=0), "1 or more"),
    "an infinite scale": (lambda c: c["model"]["architecture"].update(rope_theta=float("inf")), "rope_theta"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_plan_is_refused(tmp_path: Path, name: str) -> None:
    change, told = CHANGES[name]
    with pytest.raises(PlanRefused, match=told):
        read_plan(_tampered(tmp_path, change))


def test_what_was_worked_out_is_not_believed(tmp_path: Path) -> None:
    file = _tampered(tmp_path, lambda c: c["worked_out"].update(kv_tokens=10**12, sessions=10**9))
    assert read_plan(file).tokens == planned("16xH200").tokens


@pytest.mark.parametrize(("content", "told"), [("", "no plan"), ("{", "no plan"), ("[]", "no plan"), ('{"version": 1}', "model")])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(PlanRefused, match=told):
        read_plan(file)


@pytest.mark.parametrize("content", ["[" * 1_000_000, '{"worked_out":' * 200_000, '{"version": ' + "9" * 100_000 + "}", "\0" * 100])
def test_a_file_that_was_made_to_be_read_badly_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(PlanRefused, match="no plan"):
        read_plan(file)


def test_a_file_that_is_far_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "plan.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PlanRefused, match="longer than 16,777,216 bytes"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanRefused, match="nowhere"):
        read_plan(tmp_path / "nowhere.json")
