"""`inspect` on checkpoints whose totals are known from elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from checkpoint_makers import FP8_CONFIG, INT4_CONFIG, K2, TINY, bf16_spec, fp8_spec, int4_spec, make_sparse
from kimi_backend.checkpoint import CheckpointError, inspect, verify
from kimi_backend.checkpoint.conversion import plan_conversion
from kimi_backend.checkpoint.folder import open_checkpoint
from kimi_backend.checkpoint.tables import findings_table, summary_table
from kimi_backend.specs import read_config
from rich.console import Console


@pytest.fixture
def k2(tmp_path: Path) -> Path:
    """Kimi K2 at its full size, 1.03 TB, that takes some megabytes: its weights are holes."""
    try:
        make_sparse(tmp_path / "k2", fp8_spec(K2), K2 | {"quantization_config": FP8_CONFIG}, shards=62)
    except OSError as error:
        pytest.skip(f"this file system takes no sparse files of 17 GB: {error}")
    return tmp_path / "k2"


@pytest.mark.drill
def test_the_full_k2_is_inspected_and_verified_in_seconds(k2: Path) -> None:
    before = time.process_time()
    summary = inspect(k2)
    inspected = time.process_time()
    report = verify(k2)
    verified = time.process_time()
    print(f"inspect {inspected - before:.2f} s, verify {verified - inspected:.2f} s")
    # The figures of the project's reference (serving.md, "Memory arithmetic").
    assert summary.parameters == 1_026_408_232_448
    assert summary.components["routed experts"] == 1_014_686_023_680
    assert summary.components["attention"] == 6_168_444_928
    assert summary.components["shared experts"] == 2_642_411_520
    assert summary.components["embedding"] + summary.components["lm_head"] == 2_348_810_240
    assert summary.components["dense MLP"] == 396_361_728
    assert summary.components["router"] == 165_150_720 + 23_040
    assert round(summary.bytes / 1e9, 2) == 1029.17
    assert round(summary.bytes_by_dtype["F8_E4M3"] / 1e9, 2) == 1023.89
    assert round(summary.bytes_by_dtype["BF16"] / 1e9, 2) == 5.03
    assert round(summary.bytes_by_dtype["F32"] / 1e9, 3) == 0.250
    assert summary.layers == tuple(range(61))
    assert (summary.format, summary.files) == ("fp8-block", 62)
    assert report.findings == ()
    assert verified - before < 20  # seconds of the processor: a busy machine is no fault of ours


@pytest.mark.drill
def test_the_full_k2_is_planned_as_bf16(k2: Path) -> None:
    checkpoint = open_checkpoint(k2)
    plan = plan_conversion(checkpoint, read_config(k2), "bf16")
    assert sum(tensor.bytes for shard in plan.shards for tensor in shard.tensors.values()) == 2 * 1_026_408_232_448
    assert plan.changed == 61 * 5 + 3 + 60 * 3 * (384 + 1)
    assert len(plan.shards) == 62


def test_a_small_fp8_checkpoint_by_hand(tmp_path: Path) -> None:
    make_sparse(tmp_path, fp8_spec(TINY), TINY | {"quantization_config": FP8_CONFIG})
    found = inspect(tmp_path)
    attention = 150 * 200 + 96 * 150 + 146 * 200 + 144 * 130 + 200 * 80
    assert found.components == {
        "routed experts": 2 * 3 * 3 * 136 * 200,
        "attention": 3 * attention,
        "dense MLP": 3 * 320 * 200,
        "shared experts": 2 * 3 * 136 * 200,
        "embedding": 300 * 200,
        "lm_head": 300 * 200,
        "norms": 3 * (400 + 150 + 130) + 200,
        "router": 2 * (3 * 200 + 3),
    }
    assert found.layers == (0, 1, 2)


def test_int4_words_count_as_eight_weights(tmp_path: Path) -> None:
    make_sparse(tmp_path, int4_spec(TINY), TINY | {"quantization_config": INT4_CONFIG})
    found = inspect(tmp_path)
    assert found.format == "int4-g32"
    assert found.components["routed experts"] == 2 * 3 * 3 * 136 * 200
    assert set(found.bytes_by_dtype) == {"I32", "BF16"}


def test_parts_that_a_language_model_has_not(tmp_path: Path) -> None:
    spec = {f"language_model.{name}": value for name, value in bf16_spec(TINY).items()}
    spec["vision_tower.encoder.layers.40.norm.weight"] = ("BF16", (8,))
    make_sparse(tmp_path, spec, {"text_config": TINY})
    found = inspect(tmp_path)
    assert (found.components["other"], found.layers) == (8, (0, 1, 2))
    assert found.components["attention"] > 0


def test_bf16(tmp_path: Path) -> None:
    make_sparse(tmp_path, bf16_spec(TINY), TINY)
    found = inspect(tmp_path)
    assert (found.format, found.bytes) == ("bf16", 2 * found.parameters)


def test_links_into_a_hub_cache_are_followed(tmp_path: Path) -> None:
    make_sparse(tmp_path / "blobs", bf16_spec(TINY), TINY)
    snapshot = tmp_path / "snapshots" / "0102674b"
    snapshot.mkdir(parents=True)
    for file in (tmp_path / "blobs").iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert inspect(snapshot).layers == (0, 1, 2)
    with pytest.raises(CheckpointError, match="below its snapshots/"):
        inspect(tmp_path)


def test_the_tables_show_what_was_found(tmp_path: Path) -> None:
    folder = tmp_path / "[red]odd name[/red]"
    files = make_sparse(folder, bf16_spec(TINY), TINY)
    (folder / next(iter(files))).unlink()
    console = Console(width=200)
    with console.capture() as shown:
        console.print(findings_table(verify(folder)))
    text = shown.get()
    assert "the file is missing" in text
    assert "model-00001-of-00003.safetensors" in text


def test_the_summary_as_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would be folded
    folder = Path("[red]k2[/red]")
    make_sparse(folder, bf16_spec(TINY), TINY)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(summary_table(inspect(folder)))
    assert "[red]k2[/red]" in shown.get()
    assert "routed experts" in shown.get()
