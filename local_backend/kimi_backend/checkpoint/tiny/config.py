"""`config.json` and `generation_config.json` of a tiny checkpoint, with the fields that Kimi K2's have.

Fields and values that do not depend on the size are those of K2-0711: sigmoid scores with a correction bias (noaux_tc), no groups,
a routed scaling factor of 2.827, YaRN over 4,096 positions, one dense layer before the mixtures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import ValidationError

from ...specs import Architecture
from .errors import TinyError

__all__ = ["ModelType", "Quantization", "Sizes", "config_json", "generation_config_json", "tiny_architecture"]

ModelType = Literal["kimi_k2", "deepseek_v3"]
Quantization = Literal["bf16", "block-fp8"]
#: Fields of `Architecture` that shall differ from the default.
Sizes = Mapping[str, Any]

# kv_lora_rank and qk_rope_head_dim are K2's own: engines have kernels for 512 + 64 and for nothing else (vLLM's CPU_MLA).
_DEFAULT: Final[dict[str, Any]] = {
    "hidden_size": 256,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "q_lora_rank": 128,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 512,
    "moe_intermediate_size": 128,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "routed_scaling_factor": 2.827,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6,
    "rope_theta": 50000.0,
    "rope_scaling": {
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "beta_fast": 1.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
}


def tiny_architecture(vocab_size: int, sizes: Sizes | None = None) -> Architecture:
    """The default sizes with `sizes` put over them; `vocab_size` is the tokenizer's, and the least that it may be.

    Raises:
        TinyError: a name that is no field of `Architecture`, a size that is impossible, or too small a vocabulary.
    """
    asked = dict(sizes or {})
    if unknown := sorted(asked.keys() - Architecture.model_fields.keys()):
        raise TinyError(f"{', '.join(unknown)}: no such size; known are {', '.join(sorted(Architecture.model_fields))}")
    try:
        arch = Architecture.model_validate({**_DEFAULT, "vocab_size": vocab_size, **asked})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TinyError(f"impossible sizes: {problems}") from error
    if arch.vocab_size < vocab_size:
        raise TinyError(f"vocab_size {arch.vocab_size} is less than the tokenizer's {vocab_size} tokens; leave it out")
    if arch.num_experts_per_tok > arch.n_routed_experts:
        raise TinyError(f"{arch.num_experts_per_tok} experts per token of only {arch.n_routed_experts}; lower num_experts_per_tok")
    if arch.n_routed_experts % arch.n_group:
        raise TinyError(f"{arch.n_routed_experts} experts do not make {arch.n_group} equal groups; change n_group")
    return arch


def config_json(
    arch: Architecture, special: Mapping[str, int], model_type: ModelType, quantization: Quantization
) -> dict[str, Any]:
    """What `config.json` holds. `special`: ids of the special tokens, by their text."""
    found: dict[str, Any] = {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": model_type,
        **arch.model_dump(exclude={"rope_scaling"}),
        "rope_scaling": arch.rope_scaling and {"type": "yarn", **arch.rope_scaling.model_dump()},
        "num_key_value_heads": arch.num_attention_heads,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "aux_loss_alpha": 0.001,
        "seq_aux": True,
        "num_nextn_predict_layers": 0,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": "bfloat16",
        "bos_token_id": special["[BOS]"],
        "eos_token_id": special["[EOS]"],
        "pad_token_id": special["[PAD]"],
    }
    if quantization == "block-fp8":
        found["quantization_config"] = {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [128, 128],
        }
    return found


def generation_config_json(special: Mapping[str, int]) -> dict[str, Any]:
    """What `generation_config.json` holds: K2 stops at the end of a message, not at [EOS]."""
    return {"eos_token_id": special["<|im_end|>"]}
