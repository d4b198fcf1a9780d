"""Checkpoints in each published form load as what they stand for; broken ones are refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.errors import BackendError
from needs import needs

torch = needs("torch")
needs("transformers")
needs("safetensors")

from kimi_backend.weights.block_fp8 import WeightsError  # noqa: E402
from kimi_backend.weights.loading import load  # noqa: E402
from kimi_backend.weights.packed_int4 import unpack  # noqa: E402
from model_parts import TINY, tiny, tokens, transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

#: Wider than a block, and no multiple of one: scales of cut blocks take part.
WIDE = {"hidden_size": 160, "intermediate_size": 150, "q_lora_rank": 136, "moe_intermediate_size": 64}
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def write(folder: Path, weights: dict[str, Any], shards: int = 1, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A checkpoint's folder: config.json, and the weights in one file or in several with an index."""
    (folder / "config.json").write_text(json.dumps(config or {**TINY, **changes}))
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
    if shards == 1:
        save_file(weights, folder / SINGLE, {"format": "pt"})
        return folder
    places = {name: f"model-{index % shards + 1:05}-of-{shards:05}.safetensors" for index, name in enumerate(weights)}
    for file in set(places.values()):
        save_file({name: tensor for name, tensor in weights.items() if places[name] == file}, folder / file, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def weights_of(model: Any) -> dict[str, Any]:
    found = dict(model.state_dict())
    if model.arch.tie_word_embeddings:
        del found["lm_head.weight"]
    return found


@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_has_the_logits_that_transformers_gives_it(tmp_path: Path, shards: int) -> None:
    """Each side reads the folder by itself."""
    write(tmp_path, weights_of(tiny()), shards)
    other = transformers.DeepseekV3ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, experts_implementation="eager")
    with torch.no_grad():
        assert (load(tmp_path, dtype=torch.float32)(tokens()) - other(tokens()).logits).abs().max() <= 1e-5


def test_tied_weights_and_types(tmp_path: Path) -> None:
    model = tiny(tie_word_embeddings=True)
    loaded = load(write(tmp_path, weights_of(model), tie_word_embeddings=True))
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    for name, parameter in loaded.named_parameters():
        bias = name.endswith("e_score_correction_bias")
        assert parameter.dtype == (torch.float32 if bias else torch.bfloat16)
        assert parameter.requires_grad is not bias
        assert torch.equal(parameter, model.state_dict()[name].to(parameter.dtype))


def assert_equal(loaded: Any, model: Any) -> None:
    for name, parameter in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name


def blocked(weight: Any) -> tuple[Any, Any, Any]:
    """A weight as fp8 codes, scales and what they stand for, block by block, without the code that is tested."""
    rows, columns = weight.shape
    codes, exact = torch.empty(rows, columns, dtype=torch.float8_e4m3fn), torch.empty(rows, columns)
    scales = torch.empty(-(-rows // 128), -(-columns // 128))
    for row in range(0, rows, 128):
        for column in range(0, columns, 128):
            part = slice(row, row + 128), slice(column, column + 128)
            scale = weight[part].abs().max() / 448
            codes[part] = (weight[part] / scale).to(torch.float8_e4m3fn)
            exact[part], scales[row // 128, column // 128] = codes[part].float() * scale, scale
    return codes, scales, exact


def test_block_fp8_as_k2_is_published(tmp_path: Path) -> None:
    """All linear layers in fp8; embedding, head, router and norms are not. Scales may be in another file than their weight."""
    model, kept = tiny(**WIDE), {}
    for name, weight in weights_of(model).items():
        if "proj" in name:
            codes, scales, exact = blocked(weight)
            kept |= {name: codes, f"{name}_scale_inv": scales}
            weight.copy_(exact)
        else:
            kept[name] = weight
    assert {tuple(scales.shape) for name, scales in kept.items() if "scale" in name} >= {(2, 2), (1, 2), (2, 1)}
    assert_equal(load(write(tmp_path, kept, 2, **WIDE), dtype=torch.float32), model)


#: Made by compressed-tensors 0.20.0 (PackedQuantizationCompressor, 4 bits, symmetric, groups of 32) from torch.manual_seed(3)'s
#: randn(2, 64) in bf16: the first row's words and scales, and what its own `decompress` gives back.
WORDS = [1031440024, -1701086856, -2018822471, -1885647110, 1502123894, -1165645689, 2081064951, -865750197]
SCALES = [0.32421875, 0.310546875]
VALUES = [
    0.0, 0.32421875, -0.6484375, 0.0, 0.6484375, -0.32421875, 1.625, -1.625, 0.0, -0.32421875, 0.32421875, -0.32421875,
    0.97265625, 0.32421875, 0.6484375, 0.32421875, 0.32421875, 0.97265625, -0.6484375, -1.625, 0.97265625, 0.6484375,
    -0.32421875, 0.0, 0.6484375, 2.265625, 1.9453125, -1.296875, 0.97265625, 0.32421875, 2.265625, 0.0, -0.62109375,
    -0.310546875, -0.310546875, 0.310546875, 0.0, 0.0, 0.310546875, -0.9296875, -0.310546875, 0.0, 0.0, 0.62109375, -0.9296875,
    0.0, 0.62109375, 0.9296875, -0.310546875, 2.171875, -0.310546875, 0.0, 0.62109375, -2.484375, 1.2421875, -0.310546875,
    0.9296875, -1.2421875, -1.5546875, 0.9296875, -0.9296875, -0.62109375, 1.2421875, 1.2421875,
]  # fmt: skip


def test_packed_int4_as_compressed_tensors_unpacks_it() -> None:
    packed, scale = torch.tensor([WORDS], dtype=torch.int32), torch.tensor([SCALES], dtype=torch.bfloat16)
    assert unpack(packed, scale, torch.tensor([1, 64]), dtype=torch.bfloat16).tolist() == [VALUES]


def packed(weight: Any) -> tuple[Any, Any, Any, Any]:
    """A weight as int4 words, scales, shape and what they stand for, value by value."""
    rows, columns = weight.shape
    scales = (weight.unflatten(1, (-1, 32)).abs().amax(-1) / 7).bfloat16()
    codes = [[round(float(weight[r, c] / scales[r, c // 32].float())) for c in range(columns)] for r in range(rows)]
    words = [[sum((row[at + i] + 8) << 4 * i for i in range(8)) for at in range(0, columns, 8)] for row in codes]
    signed = [[word - 2**32 if word >= 2**31 else word for word in row] for row in words]
    exact = torch.tensor(codes) * scales.float().repeat_interleave(32, 1)
    return torch.tensor(signed, dtype=torch.int32), scales, torch.tensor([rows, columns]), exact


def test_packed_int4_experts_of_a_multimodal_checkpoint(tmp_path: Path) -> None:
    """As K2.5 is published: only routed experts in int4, the sizes under text_config, other towers beside the language model."""
    changes = {"hidden_size": 64, "moe_intermediate_size": 32}
    model = tiny(**changes)
    kept: dict[str, Any] = {"vision_tower.patch_embed.weight": torch.ones(3)}
    for name, weight in weights_of(model).items():
        if ".experts." in name:
            words, scales, shape, exact = packed(weight)
            kept |= {
                f"language_model.{name}{end}": part for end, part in (("_packed", words), ("_scale", scales), ("_shape", shape))
            }
            weight.copy_(exact)
        else:
            kept[f"language_model.{name}"] = weight
    assert_equal(load(write(tmp_path, kept, config={"text_config": {**TINY, **changes}}), dtype=torch.float32), model)


def test_int4_tensors_that_do_not_belong_together_are_refused() -> None:
    words, scale = torch.zeros(2, 8, dtype=torch.int32), torch.ones(2, 2)
    for bad in (
        (words, scale, torch.tensor([2, 128])),
        (words, scale, torch.tensor([3, 64])),
        (words, torch.ones(1, 2), torch.tensor([2, 64])),
        (words, torch.ones(2, 3), torch.tensor([2, 64])),
        (words, scale, torch.tensor([2, 32, 2])),
        (words, scale, torch.tensor([[2], [64]])),
        (words, scale, torch.tensor(64)),
        (words, torch.ones(2, 0), torch.tensor([2, 64])),
        (words, torch.tensor(1.0), torch.tensor([2, 64])),
        (words.long(), scale, torch.tensor([2, 64])),
    ):
        with pytest.raises(WeightsError):
            unpack(*bad)


def test_what_the_model_does_not_need_is_left_out(tmp_path: Path) -> None:
    """DeepSeek-V3's checkpoints have one layer more, for MTP, and old ones keep the frequencies."""
    more = {"model.layers.3.eh_proj.weight": torch.ones(2), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    load(write(tmp_path, weights_of(tiny()) | more))


def change(folder: Path, name: str, tensor: Any) -> None:
    weights = load_file(folder / SINGLE)
    weights.pop(name, None)
    save_file(weights if tensor is None else {**weights, name: tensor}, folder / SINGLE)


GATE = "model.layers.1.mlp.gate.weight"
O_PROJ = "model.layers.0.self_attn.o_proj.weight"


@pytest.mark.parametrize(
    ("name", "tensor", "text"),
    [
        (GATE, None, f"lacks 1 of 91 weights, first {GATE}"),
        (GATE, torch.ones(9, 48), rf"{GATE} is of shape \[9, 48\]; by config.json it would be \[8, 48\]"),
        (O_PROJ, torch.ones(48, 30).to(torch.float8_e4m3fn), f"{O_PROJ}: its values are torch.float8_e4m3fn without scales"),
        (
            O_PROJ + "_scale_inv",
            torch.ones(1, 1),
            rf"{O_PROJ}: block-fp8 is e4m3 .* the weight that the scales are for is torch.float32",
        ),
        ("model.layers.1.mlp.experts.8.up_proj.weight", torch.ones(14, 48), "holds 1 tensors that this architecture has no use"),
        (O_PROJ + "_zero_point", torch.ones(2), "o_proj.weight_zero_point"),
    ],
)
def test_a_checkpoint_that_is_not_the_models_is_refused(tmp_path: Path, name: str, tensor: Any, text: str) -> None:
    write(tmp_path, weights_of(tiny()))
    change(tmp_path, name, tensor)
    with pytest.raises(WeightsError, match=text):
        load(tmp_path)


def test_files_that_are_missing_or_cut_are_refused(tmp_path: Path) -> None:
    write(tmp_path, weights_of(tiny()), 2)
    second = tmp_path / "model-00002-of-00002.safetensors"
    whole = second.read_bytes()
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[:5], b""):
        second.write_bytes(cut)
        with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors cannot be read"):
            load(tmp_path)
    second.unlink()
    with pytest.raises(WeightsError, match=r"model-00002-of-00002\.safetensors cannot be read"):
        load(tmp_path)


def test_a_tensor_that_is_in_another_file_than_the_index_says(tmp_path: Path) -> None:
    write(tmp_path, weights_of(tiny()), 2)
    index = json.loads((tmp_path / INDEX).read_text())
    index["weight_map"][GATE] = next(file for file in index["weight_map"].values() if file != index["weight_map"][GATE])
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=GATE):
        load(tmp_path)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "sub/file.safetensors", ".."])
def test_an_index_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    write(folder, weights_of(tiny()), 2)
    save_file({GATE: torch.ones(8, 48)}, tmp_path / "outside.safetensors")
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"][GATE] = name
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="not a plain file name"):
        load(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": {"a": 1}}', "{"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, weights_of(tiny()))
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(WeightsError, match="cannot be read as an index"):
        load(tmp_path)


def test_a_folder_without_weights_or_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    with pytest.raises(WeightsError, match=r"model\.safetensors cannot be read"):
        load(tmp_path)


def test_the_loaded_model_does_not_hang_on_its_files(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, weights_of(tiny())), dtype=torch.float32)
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    (tmp_path / SINGLE).write_bytes(b"\0" * (tmp_path / SINGLE).stat().st_size)
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.state_dict().items())
