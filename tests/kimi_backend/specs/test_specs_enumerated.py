"""Totals of random small architectures, against tensors that others enumerate."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kimi_backend.specs import COMPONENTS, Architecture, ModelSpec, read_formats
from needs import needs

SIZES = st.integers(2, 300)
FP8 = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Small ones, whose sizes are seldom multiples of a block."""
    layers, experts = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    return Architecture(
        hidden_size=draw(SIZES),
        num_hidden_layers=layers,
        first_k_dense_replace=draw(st.integers(0, layers)),
        num_attention_heads=draw(st.integers(1, 5)),
        q_lora_rank=draw(SIZES),
        kv_lora_rank=draw(SIZES),
        qk_nope_head_dim=draw(st.integers(1, 60)),
        qk_rope_head_dim=2 * draw(st.integers(1, 30)),
        v_head_dim=draw(st.integers(2, 60)),
        intermediate_size=draw(SIZES),
        moe_intermediate_size=draw(SIZES),
        n_routed_experts=experts,
        n_shared_experts=draw(st.integers(1, 2)),
        num_experts_per_tok=draw(st.integers(1, experts)),
        vocab_size=draw(SIZES),
        max_position_embeddings=4096,
    )


def tensors(a: Architecture) -> dict[str, tuple[int, ...]]:
    """Every tensor of a DeepSeek-V3 checkpoint, one by one, by its published name."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens": (a.vocab_size, a.hidden_size)}
    found |= {"lm_head": (a.vocab_size, a.hidden_size), "model.norm": (a.hidden_size,)}
    for i in range(a.num_hidden_layers):
        at, mlp, heads = f"model.layers.{i}.self_attn", f"model.layers.{i}.mlp", a.num_attention_heads
        found[f"{at}.q_a_proj"] = (a.q_lora_rank, a.hidden_size)
        found[f"{at}.q_b_proj"] = (heads * (a.qk_nope_head_dim + a.qk_rope_head_dim), a.q_lora_rank)
        found[f"{at}.kv_a_proj_with_mqa"] = (a.kv_lora_rank + a.qk_rope_head_dim, a.hidden_size)
        found[f"{at}.kv_b_proj"] = (heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank)
        found[f"{at}.o_proj"] = (a.hidden_size, heads * a.v_head_dim)
        found |= {f"{at}.q_a_layernorm": (a.q_lora_rank,), f"{at}.kv_a_layernorm": (a.kv_lora_rank,)}
        found |= {f"model.layers.{i}.{name}_layernorm": (a.hidden_size,) for name in ("input", "post_attention")}
        widths = {mlp: a.intermediate_size}
        if i >= a.first_k_dense_replace:
            widths = {f"{mlp}.experts.{e}": a.moe_intermediate_size for e in range(a.n_routed_experts)}
            widths[f"{mlp}.shared_experts"] = a.moe_intermediate_size * a.n_shared_experts
            found |= {
                f"{mlp}.gate": (a.n_routed_experts, a.hidden_size),
                f"{mlp}.gate.e_score_correction_bias": (a.n_routed_experts,),
            }
        for name, width in widths.items():
            found |= {f"{name}.{p}_proj": (width, a.hidden_size) for p in ("gate", "up")}
            found[f"{name}.down_proj"] = (a.hidden_size, width)
    return found


def fp8_bytes(name: str, shape: tuple[int, ...]) -> int:
    """As DeepSeek-V3 publishes it: linear layers in fp8, an fp32 scale a block, the correction bias in fp32, the rest in bf16."""
    if name.endswith("bias"):
        return 4 * shape[0]
    if name.endswith("_proj") or name.endswith("_mqa"):
        return shape[0] * shape[1] + 4 * ceil(shape[0] / 128) * ceil(shape[1] / 128)
    return 2 * (shape[0] if len(shape) == 1 else shape[0] * shape[1])


def elements(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 1 else shape[0] * shape[1]


def spec(arch: Architecture, config: dict[str, Any]) -> ModelSpec:
    return ModelSpec(name="random", architecture=arch, formats=read_formats(config), thinking=False, unverified={})


@given(architectures())
@settings(max_examples=60, deadline=None)
def test_totals_are_the_sums_over_all_tensors(arch: Architecture) -> None:
    found = tensors(arch)
    assert spec(arch, {}).total_parameters == sum(map(elements, found.values()))
    assert spec(arch, FP8).checkpoint_bytes == sum(fp8_bytes(name, shape) for name, shape in found.items())
    assert sum(spec(arch, FP8).parameters[c] for c in COMPONENTS) == spec(arch, FP8).total_parameters


@pytest.mark.slow  # importing transformers takes seconds
def test_totals_are_those_of_transformers_own_model() -> None:
    torch, transformers = needs("torch"), needs("transformers")
    sizes: dict[str, Any] = {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "first_k_dense_replace": 1,
        "num_attention_heads": 4,
        "q_lora_rank": 40,
        "kv_lora_rank": 24,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 12,
        "intermediate_size": 160,
        "moe_intermediate_size": 56,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "vocab_size": 130,
        "max_position_embeddings": 512,
    }
    config = transformers.DeepseekV3Config(**sizes, num_key_value_heads=4, n_group=1, topk_group=1, tie_word_embeddings=False)
    with torch.device("meta"):
        model = transformers.DeepseekV3ForCausalLM(config)
    biases = sum(b.numel() for name, b in model.named_buffers() if name.endswith("e_score_correction_bias"))
    counted = sum(p.numel() for p in model.parameters()) + biases
    assert spec(Architecture(**sizes), {}).total_parameters == counted
