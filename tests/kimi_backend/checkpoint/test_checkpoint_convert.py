"""Conversion of whole checkpoints: exact, resumable, careful with what is there."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
from checkpoint_makers import FP8_CONFIG, INT4_CONFIG, TINY, fp8_spec, int4_spec, linear, make_sparse, others, write_index
from checkpoint_weights import contents, e4m3, encode, make_bf16, make_fp8, read_json
from needs import needs

torch = needs("torch")
safe = needs("safetensors.torch")
torch.set_num_threads(1)

from kimi_backend.checkpoint import CheckpointError, inspect, verify  # noqa: E402
from kimi_backend.checkpoint.convert import Result, convert  # noqa: E402
from kimi_backend.checkpoint.progress import progress_bar  # noqa: E402
from kimi_backend.checkpoint.streaming import SLAB  # noqa: E402
from kimi_backend.checkpoint.target import STATE_NAME  # noqa: E402
from kimi_backend.checkpoint.tiny import make_tiny  # noqa: E402
from kimi_backend.weights.block_fp8 import quantise  # noqa: E402
from kimi_backend.weights.loading import load as load_model  # noqa: E402

SHARDS = tuple(f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))


@pytest.fixture
def fp8(tmp_path: Path) -> Path:
    make_fp8(tmp_path / "fp8", TINY)
    return tmp_path / "fp8"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out"


def load(folder: Path) -> dict[str, Any]:
    """All tensors, read by the library."""
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in safe.load_file(file).items()}


def bits(tensor: Any) -> Any:
    return tensor.contiguous().view(torch.uint8)


def decoded(weight: Any, scales: Any) -> Any:
    """A block-fp8 weight by the definition of e4m3 and one table look-up a value."""
    table = torch.tensor([e4m3(byte) for byte in range(256)], dtype=torch.float32)
    across = scales.repeat_interleave(128, 0)[: weight.shape[0]].repeat_interleave(128, 1)[:, : weight.shape[1]]
    return (table[weight.view(torch.uint8).long()] * across).to(torch.bfloat16)


class Stop(BaseException):
    """What a progress callback raises to break a conversion off."""


def broken_off(source: Path, target: Path, after: int, **how: Any) -> bool:
    """Whether a conversion was broken off at its callback of that number; nothing half may then be under a final name."""
    calls = 0

    def count(name: str, *_: object) -> None:
        nonlocal calls
        calls += 1
        assert not (target / name).exists(), "a file has its name before it is whole"
        if calls > after:
            raise Stop

    try:
        convert(source, target, progress=count, **how)
    except Stop:
        return True
    return False


def test_every_weight_becomes_what_the_definition_says(fp8: Path, target: Path) -> None:
    result = convert(fp8, target, to="bf16")
    before, after = load(fp8), load(target)
    matrices = dict(linear(TINY))
    assert result == Result(target, 3, 0, len(matrices), sum(p.stat().st_size for p in target.glob("*.safetensors")), ())
    assert after.keys() == matrices.keys() | dict(others(TINY)).keys()
    for name, tensor in after.items():
        wanted = decoded(before[name], before[f"{name}_scale_inv"]) if name in matrices else before[name]
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(bits(tensor), bits(wanted)), name
    assert verify(target).findings == ()
    assert inspect(target).format == "bf16"


@pytest.mark.slow
def test_the_reference_model_loads_the_same_weights_from_both(fp8: Path, target: Path) -> None:
    """It has a reader of its own, and dequantises while it loads."""
    convert(fp8, target, to="bf16")
    first, second = (load_model(folder).state_dict() for folder in (fp8, target))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_tiny_checkpoints_are_sound_and_convertible(tmp_path: Path) -> None:
    for form, to in (("bf16", "fp8"), ("block-fp8", "bf16")):
        make_tiny(tmp_path / form, quantization=form)
        convert(tmp_path / form, tmp_path / f"{form}-converted", to=to)
        assert verify(tmp_path / form).findings == verify(tmp_path / f"{form}-converted").findings == ()


def test_config_index_and_the_small_files(fp8: Path, target: Path) -> None:
    (fp8 / "figures").mkdir()
    (fp8 / "model.gguf").write_bytes(b"x")
    (fp8 / "not-in-the-index.safetensors").write_bytes(b"x")
    result = convert(fp8, target, to="bf16")
    assert result.left_out == ("figures", "model.gguf", "not-in-the-index.safetensors")
    assert read_json(target / "config.json") == {
        k: v for k, v in read_json(fp8 / "config.json").items() if k != "quantization_config"
    }
    index = read_json(target / "model.safetensors.index.json")
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in load(target).values())
    assert set(index["weight_map"].values()) == set(SHARDS)
    for name in ("LICENSE", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (target / name).read_bytes() == (fp8 / name).read_bytes()


def test_the_files_are_laid_out_as_the_library_does_it(fp8: Path, target: Path, tmp_path: Path) -> None:
    convert(fp8, target, to="bf16")
    convert(target, tmp_path / "again", to="fp8")
    for shard in (folder / name for folder in (target, tmp_path / "again") for name in SHARDS):
        safe.save_file(safe.load_file(shard), tmp_path / shard.name, {"format": "pt"})
        assert (tmp_path / shard.name).read_bytes() == shard.read_bytes()


def test_weights_of_several_slabs(tmp_path: Path, target: Path) -> None:
    """200 x 12000 is more than a slab, and the second one ends within a row of blocks."""
    config = TINY | {"intermediate_size": 12_000, "num_hidden_layers": 1}
    name = "model.layers.0.mlp.down_proj.weight"
    assert config["hidden_size"] * config["intermediate_size"] > SLAB > 128 * 200
    make_fp8(tmp_path / "fp8", config)
    convert(tmp_path / "fp8", target, to="bf16")
    before, middle = load(tmp_path / "fp8"), load(target)
    assert torch.equal(middle[name], decoded(before[name], before[f"{name}_scale_inv"]))
    convert(target, tmp_path / "again", to="fp8")
    after = load(tmp_path / "again")
    values, scales = quantise(middle[name])
    assert torch.equal(bits(after[name]), bits(values))
    assert torch.equal(after[f"{name}_scale_inv"], scales)


def test_back_to_fp8(fp8: Path, target: Path, tmp_path: Path) -> None:
    convert(fp8, target, to="bf16")
    convert(target, tmp_path / "again", to="fp8")
    assert verify(tmp_path / "again").findings == ()
    assert read_json(tmp_path / "again" / "config.json")["quantization_config"] == FP8_CONFIG
    before, after = load(fp8), load(tmp_path / "again")
    assert after.keys() == before.keys()
    for name, _ in linear(TINY):
        assert after[name].dtype == torch.float8_e4m3fn
        first, second = (decoded(some[name], some[f"{name}_scale_inv"]).float() for some in (before, after))
        # Half a step of e4m3 (2**-4 of the value, 2**-10 of the scale near zero), and two roundings to bf16.
        step = first.abs() * (2**-4 + 2**-7) + after[f"{name}_scale_inv"].max() * 2**-10
        assert ((first - second).abs() <= step).all(), name
    name = "model.layers.1.self_attn.o_proj.weight"
    wanted, scales = encode(load(target)[name].flatten().tolist(), 200, 80)
    assert bytes(bits(after[name]).flatten().tolist()) == wanted
    assert after[f"{name}_scale_inv"].flatten().tolist() == scales


def test_one_file_without_an_index(tmp_path: Path, target: Path) -> None:
    make_fp8(tmp_path / "one", TINY, shards=1)
    (name,) = (path.name for path in (tmp_path / "one").glob("*.safetensors"))
    (tmp_path / "one" / name).rename(tmp_path / "one" / "model.safetensors")
    (tmp_path / "one" / "model.safetensors.index.json").unlink()
    convert(tmp_path / "one", target, to="bf16")
    assert not (target / "model.safetensors.index.json").exists()
    assert verify(target).findings == ()


def test_a_file_of_nothing_but_scales_leaves_none(tmp_path: Path, target: Path) -> None:
    make_fp8(tmp_path / "one", TINY, shards=1)
    (file,) = (tmp_path / "one").glob("*.safetensors")
    tensors = safe.load_file(file)
    file.unlink()
    spec = fp8_spec(TINY)
    parts = {"scales.safetensors": True, "weights.safetensors": False}
    for name, scales in parts.items():
        safe.save_file({k: v for k, v in tensors.items() if k.endswith("_scale_inv") is scales}, tmp_path / "one" / name)
    write_index(tmp_path / "one", {f: {k: v for k, v in spec.items() if k.endswith("_scale_inv") is s} for f, s in parts.items()})
    convert(tmp_path / "one", target, to="bf16")
    assert [path.name for path in target.glob("*.safetensors")] == ["weights.safetensors"]
    assert verify(target).findings == ()


def test_broken_off_at_any_step_the_next_run_ends_with_the_same_bytes(fp8: Path, target: Path, tmp_path: Path) -> None:
    convert(fp8, tmp_path / "whole", to="bf16")
    whole = contents(tmp_path / "whole")
    for after in (0, 1, 12, 30, 10, 30, 10):
        assert broken_off(fp8, target, after, to="bf16")
        there = contents(target)
        assert there.items() <= whole.items()
        assert "config.json" not in there
    result = convert(fp8, target, to="bf16")
    assert contents(target) == whole
    assert (result.written, result.kept) == (1, 2)


def test_a_finished_conversion_is_recognised(fp8: Path, target: Path) -> None:
    convert(fp8, target, to="bf16")
    before = {path.name: path.stat().st_mtime_ns for path in target.glob("*.safetensors")}
    assert convert(fp8, target, to="bf16").written == 0
    assert {path.name: path.stat().st_mtime_ns for path in target.glob("*.safetensors")} == before


def test_a_damaged_file_of_an_earlier_run_is_written_again(fp8: Path, target: Path, tmp_path: Path) -> None:
    convert(fp8, target, to="bf16")
    whole = contents(target)
    os.truncate(target / SHARDS[1], 1000)
    with (target / SHARDS[2]).open("r+b") as file:
        file.write(bytes(100))
    assert convert(fp8, target, to="bf16").written == 2
    assert contents(target) == whole


def test_another_source_does_not_go_on_where_this_one_stopped(fp8: Path, target: Path, tmp_path: Path) -> None:
    """Weights of equal shapes have equal headers: two halves of different models would fit together."""
    assert broken_off(fp8, target, 60, to="bf16")
    make_fp8(tmp_path / "other", TINY, seed=1)
    with pytest.raises(CheckpointError, match="holds a conversion of another checkpoint"):
        convert(tmp_path / "other", target, to="bf16")


def test_targets_that_are_not_free(fp8: Path, target: Path) -> None:
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"not empty \(it holds 'thesis.txt'\)"):
        convert(fp8, target, to="bf16")
    with pytest.raises(CheckpointError, match="is the source itself"):
        convert(fp8, fp8 / ".." / "fp8", to="bf16")
    assert contents(target) == {"thesis.txt": b"mine"}


def test_a_second_process_is_kept_out(fp8: Path, target: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(CheckpointError, match="another process converts into"):
            convert(fp8, target, to="bf16")

    convert(fp8, target, to="bf16", progress=second)
    assert verify(target).findings == ()


def test_a_cut_file_of_the_source_is_refused_before_anything_is_written(fp8: Path, target: Path) -> None:
    os.truncate(fp8 / SHARDS[2], (fp8 / SHARDS[2]).stat().st_size - 1)
    with pytest.raises(CheckpointError, match=rf"{SHARDS[2]} is cut short: .* 1 are missing"):
        convert(fp8, target, to="bf16")
    assert not target.exists()


@pytest.mark.parametrize("touch", [False, True])
def test_a_file_that_is_cut_or_written_to_while_it_is_converted(fp8: Path, target: Path, touch: bool) -> None:
    kept = (fp8 / SHARDS[1]).read_bytes()

    def harm(name: str, *_: object) -> None:
        if name == SHARDS[1]:
            os.utime(fp8 / SHARDS[1]) if touch else os.truncate(fp8 / SHARDS[1], len(kept) // 2)

    with pytest.raises(CheckpointError, match=f"{SHARDS[1]}.*{'changed' if touch else 'was cut'} while it was being converted"):
        convert(fp8, target, to="bf16", progress=harm)
    assert sorted(contents(target)) == [STATE_NAME, SHARDS[0]]
    with pytest.raises(CheckpointError, match="files that were written since" if touch else "is cut short"):
        convert(fp8, target, to="bf16")


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(
    fp8: Path, target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: real._replace(free=1_000_000))
    with pytest.raises(CheckpointError, match=r"0\.\d{3} GB are needed, 0\.001 GB are free, 0\.\d{3} GB are missing"):
        convert(fp8, target, to="bf16")
    assert sorted(contents(target)) == [STATE_NAME]


def test_a_file_that_may_grow_no_further_is_removed_and_the_others_are_kept(fp8: Path, target: Path, tmp_path: Path) -> None:
    """As on a full disk, but by the kernel's limit for one file (EFBIG), which needs no rights; tmpfs is in the drills."""
    convert(fp8, tmp_path / "whole", to="bf16")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    last = (tmp_path / "whole" / SHARDS[2]).stat().st_size

    def limit(name: str, *_: object) -> None:
        if name == SHARDS[2]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (last // 2, hard))

    try:
        with pytest.raises(CheckpointError, match=rf"no room left .*{SHARDS[2]} needs .*make room and convert again"):
            convert(fp8, target, to="bf16", progress=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(contents(target)) == [STATE_NAME, *SHARDS[:2]]
    assert convert(fp8, target, to="bf16").kept == 2
    assert contents(target) == contents(tmp_path / "whole")


def test_damaged_weights_are_refused_by_name(fp8: Path, target: Path) -> None:
    tensors = safe.load_file(fp8 / SHARDS[1])
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.float8_e4m3fn)
    tensors[name].view(torch.uint8)[3, 5] = 0x7F
    safe.save_file(tensors, fp8 / SHARDS[1], {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"{SHARDS[1]}: tensor {name}: 1 values are NaN"):
        convert(fp8, target, to="bf16")
    assert SHARDS[1] not in contents(target)


def drop(folder: Path, name: str, **new: tuple[str, tuple[int, ...]]) -> None:
    """The fp8 checkpoint (of holes) anew without one tensor, or with others."""
    shutil.rmtree(folder)
    spec = {key: value for key, value in fp8_spec(TINY).items() if key != name} | new
    make_sparse(folder, spec, TINY | {"quantization_config": FP8_CONFIG})


def test_what_cannot_be_converted(fp8: Path, target: Path, tmp_path: Path) -> None:
    weight = "model.layers.1.self_attn.o_proj.weight"
    with pytest.raises(CheckpointError, match="has scales already; convert the checkpoint to bf16 first"):
        convert(fp8, target, to="fp8")
    drop(fp8, f"{weight}_scale_inv")
    with pytest.raises(CheckpointError, match=f"{weight}_scale_inv are missing"):
        convert(fp8, target, to="bf16")
    drop(fp8, weight)
    with pytest.raises(CheckpointError, match=f"{weight}_scale_inv belong to no fp8 weight"):
        convert(fp8, target, to="bf16")
    drop(fp8, "", **{f"{weight}_scale_inv": ("F32", (1, 1))})
    with pytest.raises(CheckpointError, match=r"F32 of shape \[1, 1\]; a weight of shape \[200, 80\] needs F32 of \[2, 1\]"):
        convert(fp8, target, to="bf16")
    make_sparse(tmp_path / "int4", int4_spec(TINY), TINY | {"quantization_config": INT4_CONFIG})
    with pytest.raises(CheckpointError, match="int4"):
        convert(tmp_path / "int4", target, to="bf16")
    make_bf16(tmp_path / "bf16", TINY)
    with pytest.raises(CheckpointError, match="nothing to convert"):
        convert(tmp_path / "bf16", target, to="bf16")
    config = read_json(fp8 / "config.json")
    config["quantization_config"]["weight_block_size"] = [64, 128]
    (fp8 / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"weight_block_size \[64, 128\]"):
        convert(fp8, target, to="bf16")
    assert not target.exists()


def test_the_bar_and_what_is_told(fp8: Path, target: Path) -> None:
    assert broken_off(fp8, target, 60, to="bf16")
    kept = sum((target / name).stat().st_size for name in SHARDS if (target / name).exists())
    seen: list[tuple[str, int, int]] = []
    with progress_bar() as bar:

        def both(*step: Any) -> None:
            seen.append(step)
            bar(*step)

        result = convert(fp8, target, to="bf16", progress=both)
    assert seen[0][1] == kept > 0
    assert seen[-1][1:] == (result.bytes, result.bytes)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_half_of_a_character_in_config_json_does_not_break_the_end(fp8: Path, target: Path) -> None:
    """JSON may spell a lone surrogate; it is found out when config.json is written, which comes last, after hours."""
    config = read_json(fp8 / "config.json") | {"note": "\ud800 月"}
    (fp8 / "config.json").write_text(json.dumps(config))
    convert(fp8, target, to="bf16")
    assert read_json(target / "config.json")["note"] == "\ud800 月"
    assert "月" in (target / "config.json").read_text(encoding="utf-8")
