"""Parameters by the full sizes, the layers' kinds, the router, and sizes that contradict each other."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from kimi_backend.specs.architecture import SpecError, read_architecture
from needs import needs

torch = needs("torch")
needs("transformers")

from kimi_backend.reference_model import K2, MoE, Router  # noqa: E402
from model_parts import TINY, tiny, tokens  # noqa: E402

#: config.json of Kimi-K2-Instruct, as far as it decides sizes. Source: serving.md and kimi.md §2.2 of the project's references.
FULL: dict[str, Any] = {
    "hidden_size": 7168, "num_hidden_layers": 61, "first_k_dense_replace": 1, "num_attention_heads": 64, "q_lora_rank": 1536,
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 1,
    "topk_group": 1, "routed_scaling_factor": 2.827, "vocab_size": 163840, "max_position_embeddings": 131072,
}  # fmt: skip


@pytest.fixture
def uncollected() -> Iterator[None]:
    """While 93,000 modules are made, the garbage collector would take most of the time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.usefixtures("uncollected")
def test_kimi_k2_has_1026408232448_parameters() -> None:
    model = K2(read_architecture(FULL), dtype=torch.bfloat16, device="meta")
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert sum(sizes.values()) == 1_026_408_232_448
    assert sum(size for name, size in sizes.items() if ".self_attn." in name and "layernorm" not in name) == 61 * 101_122_048
    routed = sum(size for name, size in sizes.items() if ".experts." in name)
    assert routed == 1_014_686_023_680
    # 32.86 B with the embedding table, of which one row per token is read.
    assert round((sum(sizes.values()) - routed * 376 / 384) / 1e9, 2) == 32.86
    assert all(parameter.dtype == torch.bfloat16 for name, parameter in model.named_parameters() if not name.endswith("bias"))


def test_mixtures_are_where_the_configuration_says() -> None:
    """moe_layer_freq 2 from layer 1 on, of six: DeepSeek-V3's own code takes the even ones."""
    model = tiny(num_hidden_layers=6, moe_layer_freq=2)
    assert [index for index, layer in enumerate(model.model.layers) if isinstance(layer.mlp, MoE)] == [2, 4]
    assert torch.isfinite(model(tokens())).all()


def test_a_model_without_a_shared_expert() -> None:
    model = tiny(n_shared_experts=0)
    assert not any("shared" in name for name, _ in model.named_parameters())
    assert torch.isfinite(model(tokens())).all()


def test_the_bias_chooses_but_does_not_weigh() -> None:
    """Scores 0.5 for all: without bias any three; with it the three favoured ones, at a third of 2.827 each."""
    router = Router(read_architecture(TINY), torch.float32)
    with torch.no_grad():
        router.weight.zero_()
        router.e_score_correction_bias[[1, 4, 6]] = torch.tensor([0.3, 5.0, 0.1])
    weights, chosen = router(torch.randn(5, 48))
    assert chosen.sort().values.tolist() == [[1, 4, 6]] * 5
    torch.testing.assert_close(weights, torch.full((5, 3), 2.827 / 3))


def test_router_statistics_come_from_a_hook() -> None:
    model, seen = tiny(), []
    for layer in model.modules():
        if isinstance(layer, Router):
            layer.register_forward_hook(lambda _layer, _inputs, out: seen.append(out[1].shape))
    model(tokens())
    assert seen == [(2 * 37, 3)] * 2


def test_a_tied_head_is_one_parameter() -> None:
    tied, untied = tiny(tie_word_embeddings=True), tiny()
    assert len(list(untied.parameters())) - len(list(tied.parameters())) == 1
    assert tied.lm_head.weight is tied.model.embed_tokens.weight


def test_new_weights_are_usable() -> None:
    """As made, not as the other tests fill them: finite logits, near uniform."""
    logits = K2(read_architecture(TINY))(tokens())
    assert torch.isfinite(logits).all()
    assert logits.abs().max() < 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"qk_rope_head_dim": 7}, "qk_rope_head_dim is 7"),
        ({"n_group": 3}, "8 experts cannot be in 3 groups"),
        ({"n_group": 2, "topk_group": 3}, "in 2 groups of which 3 are chosen"),
        ({"n_group": 8, "topk_group": 4}, "8 experts cannot be in 8 groups"),
        ({"num_experts_per_tok": 9}, "num_experts_per_tok is 9, but 8"),
        ({"n_group": 4, "topk_group": 1}, "num_experts_per_tok is 3, but 2"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        K2(read_architecture({**TINY, **changes}), device="meta")
