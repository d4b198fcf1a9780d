"""`verify`: each kind of damage is found, named, and nothing else is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_makers import (
    FP8_CONFIG,
    INT4_CONFIG,
    TINY,
    Spec,
    bf16_spec,
    fp8_spec,
    int4_spec,
    make_sparse,
    write_index,
    write_sparse,
)
from kimi_backend.checkpoint import CheckpointError, Finding, verify

CONFIG = TINY | {"quantization_config": FP8_CONFIG}
FIRST, SECOND, THIRD = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))
EXPERT = "model.layers.1.mlp.experts.2.down_proj.weight"


def told(folder: Path) -> list[tuple[str, str | None, str | None]]:
    """Kind, file and tensor of all that was found."""
    return [(finding.kind, finding.file, finding.tensor) for finding in verify(folder).findings]


def kinds(folder: Path) -> set[str]:
    return {finding.kind for finding in verify(folder).findings}


@pytest.fixture
def fp8(tmp_path: Path) -> Path:
    """A sound checkpoint."""
    make_sparse(tmp_path, fp8_spec(TINY), CONFIG)
    return tmp_path


def remake(folder: Path, change: Callable[[Spec], None], config: dict[str, Any] = CONFIG) -> None:
    """The checkpoint anew, with other tensors."""
    for file in folder.glob("*.safetensors"):
        file.unlink()
    spec = fp8_spec(TINY)
    change(spec)
    make_sparse(folder, spec, config)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("make", "extra"),
    [(fp8_spec, {"quantization_config": FP8_CONFIG}), (bf16_spec, {}), (int4_spec, {"quantization_config": INT4_CONFIG})],
)
def test_sound_checkpoints(tmp_path: Path, make: Callable[[dict[str, Any]], Spec], extra: dict[str, Any], shards: int) -> None:
    make_sparse(tmp_path, make(TINY), TINY | extra, shards)
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.ok
    assert report.tensors == len(make(TINY))


def test_a_multimodal_checkpoint(tmp_path: Path) -> None:
    spec = {f"language_model.{name}": value for name, value in int4_spec(TINY).items()}
    spec["vision_tower.patch_embed.proj.weight"] = ("BF16", (8, 3))
    make_sparse(tmp_path, spec, {"text_config": TINY | {"quantization_config": INT4_CONFIG}})
    report = verify(tmp_path)
    assert report.ok
    assert [finding.tensor for finding in report.findings] == ["vision_tower.patch_embed.proj.weight"]


def test_a_missing_file_is_one_finding(fp8: Path) -> None:
    (fp8 / SECOND).unlink()
    assert told(fp8) == [("missing-shard", SECOND, None)]


def test_a_cut_and_a_long_file(fp8: Path) -> None:
    with (fp8 / FIRST).open("r+b") as file:
        file.truncate((fp8 / FIRST).stat().st_size - 1)
    with (fp8 / THIRD).open("ab") as file:
        file.write(b"x")
    assert told(fp8) == [("cut", FIRST, None), ("too-long", THIRD, None)]


def test_a_file_whose_header_is_damaged(fp8: Path) -> None:
    with (fp8 / SECOND).open("r+b") as file:
        file.seek(20)
        file.write(b"\xff\xff")
    assert told(fp8) == [("unreadable", SECOND, None)]


def test_a_file_too_many(fp8: Path) -> None:
    write_sparse(fp8 / "old.safetensors", {"x": ("BF16", (2,))})
    assert ("extra-shard", "old.safetensors", None) in told(fp8)


def test_a_tensor_in_two_files_in_another_and_in_none(fp8: Path) -> None:
    index = json.loads((fp8 / "model.safetensors.index.json").read_text())
    places = index["weight_map"]
    moved = next(name for name, file in places.items() if file == FIRST)
    places[moved] = SECOND
    places["model.layers.0.lost.weight"] = THIRD
    forgotten = next(name for name, file in places.items() if file == THIRD and name != "model.layers.0.lost.weight")
    del places[forgotten]
    (fp8 / "model.safetensors.index.json").write_text(json.dumps(index))
    assert set(told(fp8)) == {
        ("in-other-file", SECOND, moved),
        ("in-no-file", THIRD, "model.layers.0.lost.weight"),
        ("not-in-index", THIRD, forgotten),
    }
    write_sparse(fp8 / "twice.safetensors", {moved: fp8_spec(TINY)[moved]})
    assert ("in-two-files", "twice.safetensors", moved) in told(fp8)


def test_a_wrong_total_is_a_warning(fp8: Path) -> None:
    index = json.loads((fp8 / "model.safetensors.index.json").read_text())
    index["metadata"]["total_size"] += 1
    (fp8 / "model.safetensors.index.json").write_text(json.dumps(index))
    assert kinds(fp8) == {"total-size"}
    assert verify(fp8).ok


def test_files_without_an_index(fp8: Path) -> None:
    (fp8 / "model.safetensors.index.json").unlink()
    assert kinds(fp8) == {"no-index"}
    (fp8 / SECOND).unlink()
    assert ("missing-shard", SECOND, None) in told(fp8)


def test_an_index_that_leaves_the_folder(fp8: Path) -> None:
    (fp8 / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/x.safetensors"}}))
    assert "index" in kinds(fp8)


def test_a_missing_layer_is_one_finding_that_names_it(fp8: Path) -> None:
    def drop(spec: Spec) -> None:
        for name in [name for name in spec if ".layers.1." in name]:
            del spec[name]

    remake(fp8, drop)
    (found,) = verify(fp8).findings
    assert (found.kind, found.level) == ("missing-layer", "error")
    assert "layer 1 is missing altogether: 2 of 3 layers were found" in found.problem


def test_a_missing_expert(fp8: Path) -> None:
    def drop(spec: Spec) -> None:
        del spec[EXPERT], spec[f"{EXPERT}_scale_inv"]

    remake(fp8, drop)
    assert set(told(fp8)) == {("missing-tensor", None, EXPERT), ("missing-scale", None, f"{EXPERT}_scale_inv")}


def test_scales_missing_orphaned_and_of_a_wrong_shape(fp8: Path) -> None:
    gate = "model.layers.1.mlp.gate.weight_scale_inv"
    kv = "model.layers.2.self_attn.kv_a_proj_with_mqa.weight_scale_inv"

    def change(spec: Spec) -> None:
        del spec[f"{EXPERT}_scale_inv"]
        spec[gate] = ("F32", (1, 2))
        spec[kv] = ("F32", (1, 2))  # 146 rows are two blocks: the second one is cut

    remake(fp8, change)
    found = {(finding.kind, finding.tensor) for finding in verify(fp8).findings}
    assert found == {("missing-scale", f"{EXPERT}_scale_inv"), ("orphan-scale", gate), ("scale-shape", kv)}
    shape = next(finding for finding in verify(fp8).findings if finding.tensor == kv)
    assert shape.problem == "shape [1, 2], where config.json's sizes give [2, 2]"


def test_a_wrong_shape_and_a_wrong_type(fp8: Path) -> None:
    def change(spec: Spec) -> None:
        spec["lm_head.weight"] = ("BF16", (299, 200))
        spec["model.norm.weight"] = ("F8_E4M3", (200,))

    remake(fp8, change)
    assert {(f.kind, f.tensor) for f in verify(fp8).findings} == {("shape", "lm_head.weight"), ("dtype", "model.norm.weight")}


def test_a_config_that_forgets_the_quantisation(fp8: Path) -> None:
    (fp8 / "config.json").write_text(json.dumps(TINY))
    assert kinds(fp8) == {"dtype", "unexpected-scale"}
    groups = list(verify(fp8).groups())
    assert len(groups) == 2 * 3  # a row for each file and kind, not for each tensor
    assert sum(group.more + 1 for group in groups) == len(verify(fp8).findings)


def test_int4_parts(tmp_path: Path) -> None:
    spec = int4_spec(TINY)
    del spec[f"{EXPERT}_scale"]
    spec[f"{EXPERT}_packed"] = ("I32", (200, 16))  # 136 columns are 17 words of 8
    make_sparse(tmp_path, spec, TINY | {"quantization_config": INT4_CONFIG})
    assert {(f.kind, f.tensor) for f in verify(tmp_path).findings} == {
        ("missing-scale", f"{EXPERT}_scale"),
        ("shape", f"{EXPERT}_packed"),
    }


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_config_that_cannot_be_read(fp8: Path, text: str | None) -> None:
    (fp8 / "config.json").unlink()
    if text is not None:
        (fp8 / "config.json").write_text(text)
    assert told(fp8) == [("config", "config.json", None)]


def test_the_small_files(fp8: Path) -> None:
    for name in ("tokenizer.json", "generation_config.json"):
        (fp8 / name).unlink()
    (fp8 / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}})
    )
    found = {(finding.kind, finding.level) for finding in verify(fp8).findings}
    assert found == {
        ("tokenizer", "error"),
        ("generation-config", "warning"),
        ("chat-template", "error"),
        ("remote-code", "warning"),
    }


def test_a_template_that_starts_no_answer(fp8: Path) -> None:
    (fp8 / "chat_template.jinja").write_text("<|im_user|>user<|im_middle|>")
    (found,) = verify(fp8).findings
    assert isinstance(found, Finding)
    assert (found.kind, found.file, found.level) == ("chat-template", "chat_template.jinja", "warning")
    assert "add_generation_prompt" in found.problem


def test_one_of_several_templates(fp8: Path) -> None:
    several = [{"name": "default", "template": "<|im_middle|> {{ add_generation_prompt }}"}, {"name": "rag", "template": ""}]
    (fp8 / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    assert verify(fp8).findings == ()


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no safetensors file"):
        verify(tmp_path)


def test_a_single_file_needs_no_index(tmp_path: Path) -> None:
    files = make_sparse(tmp_path, bf16_spec(TINY), TINY, 1)
    (name,) = files
    (tmp_path / "model.safetensors.index.json").unlink()
    (tmp_path / name).rename(tmp_path / "model.safetensors")
    assert verify(tmp_path).findings == ()
    write_index(tmp_path, {"model.safetensors": files[name]})
    assert verify(tmp_path).findings == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["model.safetensors.index.json", "tokenizer_config.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    make_sparse(tmp_path / "k2", fp8_spec(TINY), TINY | {"quantization_config": FP8_CONFIG})
    (tmp_path / "k2" / name).unlink()
    os.mkfifo(tmp_path / "k2" / name)
    assert any("is not a file" in finding.problem for finding in verify(tmp_path / "k2").findings)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "model-00001-of-00003.safetensors"])
def test_a_clone_without_git_lfs(tmp_path: Path, name: str) -> None:
    make_sparse(tmp_path / "k2", fp8_spec(TINY), TINY | {"quantization_config": FP8_CONFIG})
    (tmp_path / "k2" / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:aaa\nsize 123\n")
    found = [finding for finding in verify(tmp_path / "k2").findings if "pointer of Git LFS" in finding.problem]
    assert [finding.file for finding in found] == [name]
