"""The reference model gives the logits and gradients of transformers' DeepseekV3ForCausalLM."""

from __future__ import annotations

from typing import Any

import pytest
from needs import needs

torch = needs("torch")
needs("transformers")

from kimi_backend.rotary import frequencies  # noqa: E402
from kimi_backend.specs.architecture import read_architecture  # noqa: E402
from model_parts import TINY, YARN, Widened, theirs, tiny, tokens, transformers  # noqa: E402
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS  # noqa: E402

CONFIGS: dict[str, dict[str, Any]] = {
    "as K2": {},
    "no YaRN": {"rope_scaling": None},
    "YaRN of K2-0905": {"rope_scaling": {**YARN, "beta_fast": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}},
    "mscale of its own": {"rope_scaling": {**YARN, "mscale": 0.707, "mscale_all_dim": 1.3}},
    "mscale cancels out": {"rope_scaling": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}},
    "mscale_all_dim left out": {"rope_scaling": YARN},
    "context not extended": {"rope_scaling": {**YARN, "factor": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}},
    "context extended by half": {"rope_scaling": {**YARN, "factor": 1.5, "mscale": 1.0, "mscale_all_dim": 1.0}},
    "groups": {"n_group": 4, "topk_group": 2},
    "all groups": {"n_group": 2, "topk_group": 2},
    "tied head": {"tie_word_embeddings": True},
    "odd sizes": {
        "hidden_size": 17, "num_attention_heads": 5, "num_key_value_heads": 5, "q_lora_rank": 7, "kv_lora_rank": 5,
        "qk_nope_head_dim": 3, "qk_rope_head_dim": 6, "v_head_dim": 11, "intermediate_size": 13, "moe_intermediate_size": 3,
    },
    "three dense layers": {"first_k_dense_replace": 3, "num_hidden_layers": 5},
    "all dense": {"first_k_dense_replace": 3},
    "all mixtures": {"first_k_dense_replace": 0},
    "top-1": {"num_experts_per_tok": 1},
    "every expert": {"num_experts_per_tok": 8},
    "weights not normalised": {"norm_topk_prob": False},
    "two shared experts": {"n_shared_experts": 2},
    "large epsilon": {"rms_norm_eps": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_logits_equal_those_of_transformers(changes: dict[str, Any]) -> None:
    model = tiny(**changes)
    with torch.no_grad():
        mine, other = model(tokens()), theirs(model, **changes)(tokens()).logits
    assert mine.dtype == torch.float32
    # Logits that hardly differ from each other would agree without meaning anything.
    assert other.std() > 0.1
    assert (mine - other).abs().max() <= 1e-5


@pytest.mark.parametrize("changes", CONFIGS.values(), ids=CONFIGS)
def test_logits_equal_to_ten_digits_in_fp64(changes: dict[str, Any]) -> None:
    model = tiny(torch.float64, **changes)
    with torch.no_grad(), Widened():
        other = theirs(model, **changes)(tokens()).logits
    with torch.no_grad():
        mine = model(tokens())
    assert mine.dtype == torch.float64
    assert (mine - other).abs().max() <= 1e-10


@pytest.mark.parametrize("beta_fast", [1.0, 32.0])
@pytest.mark.parametrize("factor", [32.0, 64.0])
@pytest.mark.parametrize("original", [4096, 512, 1_000_000])
def test_frequencies_of_the_full_size(factor: float, beta_fast: float, original: int) -> None:
    """K2's own: 32 pairs, 4,096 tokens trained on, factor 32 (0711) or 64 (0905), beta_fast 1 or 32 (K2.5)."""
    yarn = {"type": "yarn", "factor": factor, "original_max_position_embeddings": original, "beta_fast": beta_fast}
    config = {**TINY, "qk_rope_head_dim": 64, "rope_scaling": {**yarn, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0}}
    other, scale = ROPE_INIT_FUNCTIONS["yarn"](transformers.DeepseekV3Config(**config), device="cpu")
    mine = frequencies(read_architecture(config), torch.float32, torch.device("cpu"))
    torch.testing.assert_close(mine, other, rtol=1e-6, atol=0)
    assert scale == 1


def test_positions_far_beyond_the_length_trained_on() -> None:
    """16 tokens were trained on, by this configuration; these are 400."""
    model = tiny()
    with torch.no_grad():
        assert (model(tokens(1, 400)) - theirs(model)(tokens(1, 400)).logits).abs().max() <= 1e-5


def test_bf16_stays_near_the_exact_logits() -> None:
    model = tiny(torch.bfloat16)
    with torch.no_grad():
        mine, other = model(tokens()), theirs(model)(tokens()).logits.float()
        exact = tiny(torch.bfloat16).double()(tokens())
    assert mine.dtype == torch.float32
    error, their_error = (mine - exact).square().mean().sqrt(), (other - exact).square().mean().sqrt()
    assert error <= 1.2 * their_error


def test_gradients_equal_those_of_transformers() -> None:
    """Every parameter learns, but for the router's bias, which only chooses."""
    model, x = tiny(torch.float64), tokens(4, 64)
    torch.nn.functional.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    with Widened():
        other = theirs(model)
        torch.nn.functional.cross_entropy(other(x).logits[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    expected = {name: parameter.grad for name, parameter in other.named_parameters()}
    for name, parameter in model.named_parameters():
        if name.endswith("e_score_correction_bias"):
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
        if ".experts." not in name:
            assert (parameter.grad - expected[name]).abs().max() <= 1e-10, name
    for layer in model.arch.moe_layers:
        stacked = expected[f"model.layers.{layer}.mlp.experts.gate_up_proj"]
        mine = [torch.cat((e.gate_proj.weight.grad, e.up_proj.weight.grad)) for e in model.model.layers[layer].mlp.experts]
        assert (torch.stack(mine) - stacked).abs().max() <= 1e-10


def test_a_step_of_training_lowers_the_loss() -> None:
    model, x = tiny(), tokens()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses: list[float] = []
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2
