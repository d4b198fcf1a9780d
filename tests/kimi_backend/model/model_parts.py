"""Small models of K2's architecture with random weights, and the same weights in transformers' classes."""

from __future__ import annotations

from typing import Any

from needs import needs

torch = needs("torch")
transformers = needs("transformers")
# On a busy machine, threads that wait for each other take far longer than these sizes do.
torch.set_num_threads(1)

from kimi_backend.reference_model import K2  # noqa: E402
from kimi_backend.specs.architecture import read_architecture  # noqa: E402

YARN = {"type": "yarn", "factor": 32.0, "original_max_position_embeddings": 16, "beta_fast": 32.0, "beta_slow": 1.0}
#: All sizes differ, so that no two can be mistaken for each other.
TINY: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 48, "num_hidden_layers": 3,
    "first_k_dense_replace": 1, "num_attention_heads": 3, "num_key_value_heads": 3, "q_lora_rank": 24, "kv_lora_rank": 20,
    "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 10, "intermediate_size": 40, "moe_intermediate_size": 14,
    "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
    "routed_scaling_factor": 2.827, "vocab_size": 50, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 50000.0,
    "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}, "tie_word_embeddings": False, "num_nextn_predict_layers": 0,
}  # fmt: skip


def tiny(dtype: Any = torch.float32, **changes: Any) -> K2:
    """A model whose every parameter is random: norms are not one and router biases not zero."""
    model = K2(read_architecture({**TINY, **changes}), dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(1 + noise / 4 if name.endswith("norm.weight") else noise / 7)
    return model


def tokens(batch: int = 2, length: int = 37, seed: int = 1) -> Any:
    return torch.randint(0, TINY["vocab_size"], (batch, length), generator=torch.Generator().manual_seed(seed))


def theirs(model: K2, **changes: Any) -> Any:
    """transformers' model with the same weights: its experts are stacked, gate above up."""
    config = transformers.DeepseekV3Config(**{**TINY, **changes}, attn_implementation="eager", experts_implementation="eager")
    other = transformers.DeepseekV3ForCausalLM(config).to(model.lm_head.weight.dtype).eval()
    weights = {name: tensor for name, tensor in model.state_dict().items() if ".experts." not in name}
    for layer in model.arch.moe_layers:
        mine = list(model.model.layers[layer].mlp.experts)
        name = f"model.layers.{layer}.mlp.experts"
        weights[f"{name}.gate_up_proj"] = torch.stack([torch.cat((e.gate_proj.weight, e.up_proj.weight)) for e in mine])
        weights[f"{name}.down_proj"] = torch.stack([e.down_proj.weight for e in mine])
    other.load_state_dict(weights)
    # transformers keeps its own copy in fp32 whatever the model's type.
    for layer in model.arch.moe_layers:
        gate = other.model.layers[layer].mlp.gate
        gate.e_score_correction_bias = model.model.layers[layer].mlp.gate.e_score_correction_bias.detach().clone()
    return other


class Widened(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
    """transformers computes norms, softmax, router and frequencies in fp32 even in a model of fp64; in here in fp64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        func = torch.Tensor.double if func is torch.Tensor.float else func
        return func(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})
