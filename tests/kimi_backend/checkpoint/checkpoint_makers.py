"""Checkpoints for tests: names and sizes written down from the published layout, not taken from the code under test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import ceil, prod
from pathlib import Path
from typing import Any

WIDTH = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "I32": 4, "I64": 8}
FP8_CONFIG = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
INT4_CONFIG = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32, "symmetric": True}}},
}
K2: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "kimi_k2", "hidden_size": 7168, "num_hidden_layers": 61,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "num_attention_heads": 64, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "vocab_size": 163840, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "rope_theta": 50000.0,
    "tie_word_embeddings": False,
}  # fmt: skip
#: K2's shape in small; 200, 150 and 320 make blocks of 128 that are cut at both edges.
TINY: dict[str, Any] = K2 | {
    "hidden_size": 200, "num_hidden_layers": 3, "num_attention_heads": 2, "q_lora_rank": 150, "kv_lora_rank": 130,
    "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 40, "intermediate_size": 320,
    "moe_intermediate_size": 136, "n_routed_experts": 3, "num_experts_per_tok": 2, "vocab_size": 300,
    "max_position_embeddings": 4096,
}  # fmt: skip
Spec = dict[str, tuple[str, tuple[int, ...]]]


def linear(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Weights that K2's checkpoint holds in fp8."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        yield f"{at}.self_attn.q_a_proj.weight", (config["q_lora_rank"], hidden)
        yield f"{at}.self_attn.q_b_proj.weight", (heads * (nope + rope), config["q_lora_rank"])
        yield f"{at}.self_attn.kv_a_proj_with_mqa.weight", (config["kv_lora_rank"] + rope, hidden)
        yield f"{at}.self_attn.kv_b_proj.weight", (heads * (nope + value), config["kv_lora_rank"])
        yield f"{at}.self_attn.o_proj.weight", (hidden, heads * value)
        if layer < config["first_k_dense_replace"]:
            places = [("mlp", config["intermediate_size"])]
        else:
            places = [(f"mlp.experts.{e}", config["moe_intermediate_size"]) for e in range(config["n_routed_experts"])]
            places.append(("mlp.shared_experts", config["moe_intermediate_size"]))
        for place, width in places:
            yield f"{at}.{place}.gate_proj.weight", (width, hidden)
            yield f"{at}.{place}.up_proj.weight", (width, hidden)
            yield f"{at}.{place}.down_proj.weight", (hidden, width)


def others(config: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Weights that stay in bf16."""
    hidden = config["hidden_size"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", (hidden,)
        yield f"{at}.post_attention_layernorm.weight", (hidden,)
        yield f"{at}.self_attn.q_a_layernorm.weight", (config["q_lora_rank"],)
        yield f"{at}.self_attn.kv_a_layernorm.weight", (config["kv_lora_rank"],)
        if layer >= config["first_k_dense_replace"]:
            yield f"{at}.mlp.gate.weight", (config["n_routed_experts"], hidden)
            yield f"{at}.mlp.gate.e_score_correction_bias", (config["n_routed_experts"],)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (config["vocab_size"], hidden)


def fp8_spec(config: dict[str, Any]) -> Spec:
    """The tensors of a block-fp8 checkpoint; scales follow their weights."""
    found: Spec = {name: ("BF16", shape) for name, shape in others(config)}
    for name, (rows, columns) in linear(config):
        found[name] = "F8_E4M3", (rows, columns)
        found[f"{name}_scale_inv"] = "F32", (ceil(rows / 128), ceil(columns / 128))
    return found


def bf16_spec(config: dict[str, Any]) -> Spec:
    """The tensors of a bf16 checkpoint."""
    return {name: ("BF16", shape) for name, shape in (*others(config), *linear(config))}


def int4_spec(config: dict[str, Any]) -> Spec:
    """The tensors of an int4 checkpoint: routed experts packed, eight to a word, the rest bf16."""
    found = bf16_spec(config)
    for name, (rows, columns) in linear(config):
        if ".experts." in name:
            del found[name]
            found[f"{name}_packed"] = "I32", (rows, ceil(columns / 8))
            found[f"{name}_scale"] = "BF16", (rows, ceil(columns / 32))
            found[f"{name}_shape"] = "I32", (2,)
    return found


def split(spec: Spec, shards: int) -> dict[str, Spec]:
    """The tensors in about equal counts over files."""
    names = sorted(spec)
    size = ceil(len(names) / shards)
    parts = [names[i : i + size] for i in range(0, len(names), size)]
    return {f"model-{i:05}-of-{len(parts):05}.safetensors": {n: spec[n] for n in part} for i, part in enumerate(parts, 1)}


def header_bytes(spec: Spec) -> tuple[bytes, int]:
    """The head of a file, and how many bytes of data follow."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in spec.items():
        size = WIDTH[dtype] * prod(shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return raw_header(json.dumps(entries).encode()), offset


def raw_header(text: bytes) -> bytes:
    """Length and header."""
    return len(text).to_bytes(8, "little") + text


def write_sparse(path: Path, spec: Spec) -> None:
    """A file whose data is a hole: it takes no room on the disk."""
    head, size = header_bytes(spec)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size)


def write_index(folder: Path, files: dict[str, Spec]) -> None:
    """The index of these files."""
    total = sum(WIDTH[dtype] * prod(shape) for spec in files.values() for dtype, shape in spec.values())
    places = {name: file for file, spec in files.items() for name in spec}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_texts(folder: Path, config: dict[str, Any]) -> None:
    """config.json and the small files beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    template = "<|im_assistant|>assistant<|im_middle|>{% if add_generation_prompt %}{% endif %}"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    (folder / "tokenizer.json").write_text("{}")


def make_sparse(folder: Path, spec: Spec, config: dict[str, Any], shards: int = 3) -> dict[str, Spec]:
    """A whole checkpoint with holes for data; what is in which file."""
    write_texts(folder, config)
    files = split(spec, shards)
    for name, part in files.items():
        write_sparse(folder / name, part)
    write_index(folder, files)
    return files
