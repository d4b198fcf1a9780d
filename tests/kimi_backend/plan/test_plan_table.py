"""What `kimi-backend plan` prints: readable at 100 columns, in a pipe, and without colour."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from kimi_backend.hardware import parse_cluster
from kimi_backend.plan import Plan, Wish, make_plan
from kimi_backend.plan.table import render
from plan_makers import DUAL_SOCKET, K2, THINKING, planned
from rich.console import Console


def printed(plan: Plan, width: int = 100) -> str:
    """As a pipe gets it."""
    told = io.StringIO()
    Console(file=told, width=width).print(render(plan))
    return told.getvalue()


def row(text: str, name: str) -> list[str]:
    """The cells of the first line that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(name))
    return re.split(r"\s{2,}", line.strip())


@pytest.fixture(scope="module")
def h200() -> Plan:
    return planned("16xH200")


def test_the_model_and_the_layout_are_said(h200: Plan) -> None:
    text = printed(h200)
    for told in ("kimi-k2-0905", "1,026.4 B parameters", "31.7 B active", "1,029.2 GB", "fp8-block", "SGLang 0.5.23", "TP 16"):
        assert told in text
    assert "1 instance of 16 GPUs on 2 nodes" in text


def test_each_part_has_its_gigabytes_and_its_ways(h200: Plan) -> None:
    text = printed(h200)
    assert row(text, "routed experts") == ["routed experts", "1/16", "63.43"]
    assert row(text, "attention, low-rank inputs") == ["attention, low-rank inputs", "replicated", "0.92"]
    assert row(text, "norms") == ["norms", "replicated", "<0.01"]
    assert row(text, "all weights") == ["all weights", "65.56"]
    assert row(text, "KV cache  ") == ["KV cache", "replicated", "70.11"]
    assert row(text, "card") == ["card", "150.75"]
    assert "1 GB = 1e9 bytes" in text


def test_sums_are_those_of_the_parts(h200: Plan) -> None:
    text = printed(h200)
    names = {part.name for part in h200.memory[0].parts}
    cells = [row(text, name)[-1] for name in names]
    added = sum(0.0 if cell.startswith("<") else float(cell) for cell in cells)
    assert added == pytest.approx(float(row(text, "all weights")[-1]), abs=0.06)
    bottom = sum(float(row(text, name)[-1]) for name in ("all weights", "KV cache  ", "rest"))
    assert bottom == pytest.approx(float(row(text, "card")[-1]), abs=0.02)


def test_the_cache_in_tokens_and_sessions(h200: Plan) -> None:
    text = printed(h200)
    assert "KV cache: 997,757 tokens (70,272 bytes a token)" in text
    for context, sessions in (("8,192", "121"), ("32,768", "30"), ("131,072", "7")):
        assert re.search(rf"^ *{context} +{sessions} *$", text, re.MULTILINE)


def test_no_context_is_listed_that_the_launch_does_not_take() -> None:
    assert not re.search(r"^ *(65,536|131,072) ", printed(planned("16xH200", context=32_768)), re.MULTILINE)


def test_expected_speed_is_called_what_it_is(h200: Plan) -> None:
    text = printed(h200)
    assert "Not measured" in text
    assert "bandwidth" in text
    assert "published" in text
    (alone,) = (t for t in h200.throughput if t.batch == 1)
    assert alone.low is not None
    assert f"{alone.low:,.0f} - " in text


def test_reasons_and_warnings_are_there_whole(h200: Plan) -> None:
    flat = " ".join(printed(h200).split())
    for sentence in (*h200.reasons, *h200.warnings):
        assert " ".join(sentence.split()) in flat


def test_several_stages_have_a_column_each() -> None:
    text = printed(planned("16xH100", engine="vllm", strategy="pipeline", context=32_768))
    heads = [line.split() for line in text.splitlines() if "stage 0" in line or "layers" in line or "0-30" in line]
    assert heads[:2] == [["stage", "0", "stage", "1"], ["layers", "layers"]]
    assert heads[2][-2:] == ["0-30", "31-60"]
    assert row(text, "embedding")[2:] == ["0.29", "-"]
    assert row(text, "lm_head")[2:] == ["-", "0.29"]
    assert row(text, "activations")[1:] == ["9.10", "9.10"]


def test_stages_that_hold_as_much_share_a_column() -> None:
    """61 layers over 8 stages under SGLang: 7, 7, 7, 8, 8, 8, 8, 8; the first has the embedding, the last the head."""
    text = printed(planned("8x4xB200", THINKING, strategy="pipeline", replicas=1))
    stages = next(line for line in text.splitlines() if "stage 0" in line)
    assert re.split(r"\s{2,}", stages.strip()) == ["stage 0", "stages 1-2", "stages 3-6", "stage 7"]


def test_attention_groups_are_told() -> None:
    text = printed(planned("16xH200", sessions=50))
    assert "in each of 16 attention groups" in " ".join(text.split())
    assert row(text, "KV cache  ")[1] == "own requests"


def test_experts_on_cpus_are_told_with_the_nodes_memory() -> None:
    plan = planned("2xRTX4090-48", THINKING, host=DUAL_SOCKET, engine="ktransformers", context=65_536)
    flat = " ".join(printed(plan).split())
    assert f"{plan.host_bytes / 1e9:.1f} GB of the node's memory of 768.0 GB" in flat
    assert "nobody has published" in flat
    unknown = planned("2xRTX4090-48", THINKING, host=replace(DUAL_SOCKET, bandwidth=None), engine="ktransformers", context=65_536)
    assert "bandwidth of the node's memory is not known" in " ".join(printed(unknown).split())


def test_two_sides_and_several_instances_are_told() -> None:
    assert "1 prefill and 1 decode instance, 8 GPUs on 1 node each" in printed(planned("16xB200", strategy="disaggregated"))
    replicas = printed(planned("16xB200"))
    assert "2 instances of 8 GPUs on 1 node each" in replicas
    assert "Decoding of one instance" in replicas


def test_a_limit_on_requests_is_told() -> None:
    assert "at most 64 requests computed at once" in " ".join(printed(planned("16xH200", max_running=64)).split())


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("gpus", ["16xH200", "4x4xH100", "16x4xH100"])
def test_nothing_is_cut_and_nothing_is_coloured(gpus: str, width: int) -> None:
    text = printed(make_plan(THINKING, parse_cluster(gpus), Wish(strategy="pipeline", context=8192)), width)
    assert "…" not in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_terminal_without_unicode_gets_plain_lines(h200: Plan) -> None:
    raw = io.BytesIO()
    told = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Console(file=told, width=100).print(render(h200))
    assert b"routed experts" in raw.getvalue()


def test_a_folders_name_is_only_text() -> None:
    name = "[red]mine[/red] \x1b[31m\nNEXT"
    text = printed(make_plan(replace(K2, name=name, unverified={}), parse_cluster("16xH200")))
    assert "[red]mine[/red]" in text
    assert "\x1b" not in text
    assert "\nNEXT" not in text
