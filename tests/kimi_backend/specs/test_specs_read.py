"""A `config.json` of one's own: what is read from it, and what is refused with the field's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.specs import SpecError, find_model, read_architecture, read_formats, read_model

SMALL: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "q_lora_rank": 64,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 512,
    "moe_intermediate_size": 128,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 320,
    "max_position_embeddings": 4096,
}
INT4 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32}}},
}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}


def _folder(path: Path, config: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def test_what_may_be_left_out_has_deepseeks_defaults() -> None:
    arch = read_architecture(SMALL)
    assert (arch.n_shared_experts, arch.moe_layer_freq, arch.rope_scaling, arch.tie_word_embeddings) == (1, 1, None, False)
    assert arch.moe_layers == (1, 2, 3)
    assert arch.latent_dim == 512 + 64
    assert arch.qk_head_dim == 128 + 64


def test_every_second_layer_may_be_an_expert_layer() -> None:
    assert read_architecture(SMALL | {"moe_layer_freq": 2}).moe_layers == (2,)


@pytest.mark.parametrize("field", sorted(SMALL))
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(SpecError, match=rf"{field}: Field required"):
        read_architecture({k: v for k, v in SMALL.items() if k != field})


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_size", "wide"), ("hidden_size", 0), ("vocab_size", -1), ("kv_lora_rank", None), ("rope_scaling", {"factor": 0})],
)
def test_a_mistyped_or_impossible_field_is_named(field: str, value: object) -> None:
    with pytest.raises(SpecError, match=field):
        read_architecture(SMALL | {field: value})


def test_a_multimodal_model_nests_its_language_model(tmp_path: Path) -> None:
    nested = {"model_type": "kimi_k25", "text_config": SMALL | {"quantization_config": INT4}, "vision_config": {"hidden_size": 1}}
    model = read_model(_folder(tmp_path / "k2.5", nested))
    assert model.architecture == read_architecture(SMALL)
    assert model.weight_format == "int4-g32"
    assert model.unverified == {}


def test_without_a_quantisation_all_is_bf16(tmp_path: Path) -> None:
    model = read_model(_folder(tmp_path / "plain", SMALL))
    assert set(model.formats.values()) == {"bf16"}
    # the router's correction bias alone is in fp32: 3 layers of 8 experts
    assert model.checkpoint_bytes == 2 * model.total_parameters + 2 * 3 * 8


def test_block_fp8_leaves_embedding_head_router_and_norms_alone() -> None:
    assert {c for c, form in read_formats({"quantization_config": FP8}).items() if form == "bf16"} == {
        "embedding",
        "lm_head",
        "router",
        "norms",
    }


def test_int4_is_of_the_routed_experts_only() -> None:
    assert {c for c, form in read_formats({"quantization_config": INT4}).items() if form != "bf16"} == {"routed experts"}


@pytest.mark.parametrize(
    ("quantization", "told"),
    [
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "fp8", "weight_block_size": [64, 64]}, r"\[64, 64\]"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        (INT4 | {"config_groups": {"g": {"weights": {"num_bits": 8, "group_size": 32}}}}, "8 bits in groups of 32"),
        (INT4 | {"config_groups": {"g": {"weights": {"num_bits": 4, "group_size": 128}}}}, "4 bits in groups of 128"),
        (INT4 | {"config_groups": {}}, "compressed-tensors"),
        ({"bits": 4}, "quant_method"),
        ("fp8", "quantization_config"),
    ],
)
def test_another_quantisation_is_named(quantization: object, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        read_formats({"quantization_config": quantization})


def test_whether_it_thinks_is_guessed_from_the_format_and_can_be_said(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "mine", SMALL | {"quantization_config": INT4})
    assert read_model(folder).thinking
    assert not find_model(str(folder), thinking=False).thinking


def test_a_folder_and_its_config_give_the_same_model(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "mine", SMALL)
    assert read_model(folder) == read_model(folder / "config.json")
    assert read_model(folder).name == "mine"


@pytest.mark.parametrize(("content", "told"), [("{", "is not JSON"), ("[1]", "holds list"), ("\xff\xfe", "not JSON")])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(SpecError, match=told):
        read_model(tmp_path)


def test_a_folder_without_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"config\.json"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("nested", ["none", [1], 3])
def test_a_text_config_that_is_no_object_is_refused_or_ignored(nested: object) -> None:
    assert read_architecture(SMALL | {"text_config": nested}) == read_architecture(SMALL)
    assert set(read_formats(SMALL | {"text_config": nested}).values()) == {"bf16"}
