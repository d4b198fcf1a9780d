"""Decoding from the latent cache, rows of different lengths, and greedy generation."""

from __future__ import annotations

from typing import Any

import pytest
from needs import needs

torch = needs("torch")
needs("transformers")

from kimi_backend.reference_model import LatentCache  # noqa: E402
from model_parts import theirs, tiny, tokens  # noqa: E402


def in_pieces(model: Any, x: Any, sizes: list[int]) -> Any:
    cache = LatentCache()
    with torch.no_grad():
        found = torch.cat([model(piece, cache=cache) for piece in x.split(sizes, 1)], 1)
    assert cache.length == x.shape[1]
    return found


@pytest.mark.parametrize("sizes", [[1] * 37, [36, 1], [37], [5, 1, 30, 1]], ids=str)
@pytest.mark.parametrize("changes", [{}, {"rope_scaling": None}, {"n_group": 4, "topk_group": 2}], ids=["K2", "no YaRN", "groups"])
def test_cached_decoding_equals_the_whole_forward(sizes: list[int], changes: dict[str, Any]) -> None:
    """The cache's form of attention is another formula than the whole forward's: keys and values are never unfolded."""
    model, x = tiny(torch.float64, **changes), tokens()
    with torch.no_grad():
        whole = model(x)
    assert (in_pieces(model, x, sizes) - whole).abs().max() <= 1e-10


def test_cached_decoding_in_fp32() -> None:
    model, x = tiny(), tokens()
    assert (in_pieces(model, x, [30, 1, 1, 1, 1, 1, 1, 1]) - theirs(model)(x).logits).abs().max() <= 1e-5


def test_the_cache_holds_576_numbers_per_token_and_layer() -> None:
    """K2's ranks: 512 + 64. serving.md: 70,272 B per token are 61 layers of these in bf16."""
    model, cache = tiny(torch.bfloat16, kv_lora_rank=512, qk_rope_head_dim=64), LatentCache()
    with torch.no_grad():
        model(tokens(2, 9), cache=cache)
    assert [latent.shape for latent in cache.layers.values()] == [(2, 9, 576)] * 3
    per_layer = cache.layers[0][0, 0].numel() * cache.layers[0].element_size()
    assert 61 * per_layer == 70_272


def padded(rows: list[Any], left: bool) -> tuple[Any, Any]:
    """Rows of tokens as one batch, filled with token 0, and the mask that hides the filling."""
    longest = max(len(row) for row in rows)
    batch = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        where = slice(longest - len(row), None) if left else slice(len(row))
        batch[index, where], mask[index, where] = row, True
    return batch, mask


@pytest.mark.parametrize("cached", [False, True], ids=["whole", "cached"])
@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_rows_of_different_lengths_do_not_see_their_padding(left: bool, cached: bool) -> None:
    model = tiny(torch.float64)
    rows = [tokens(1, length, seed=length)[0] for length in (19, 3, 11)]
    batch, mask = padded(rows, left)
    with torch.no_grad():
        found = model(batch, mask=mask, cache=LatentCache() if cached else None)
        assert torch.isfinite(found).all()
        for index, row in enumerate(rows):
            assert (found[index, mask[index]] - model(row[None])[0]).abs().max() <= 1e-10


def test_padding_equals_that_of_transformers() -> None:
    model = tiny()
    batch, mask = padded([tokens(1, 19)[0], tokens(1, 7, seed=2)[0]], left=True)
    with torch.no_grad():
        other = theirs(model)(batch, attention_mask=mask.long()).logits
        # A tokenizer's mask is of 0 and 1.
        mine = model(batch, mask=mask.long())
    assert (mine - other)[mask].abs().max() <= 1e-5


def test_greedy_generation_equals_that_of_transformers() -> None:
    model = tiny()
    other = theirs(model)
    other.generation_config.eos_token_id = None
    for seed in range(4):
        x = tokens(2, 12, seed)
        whole = other.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=10, do_sample=False, pad_token_id=0)
        assert model.generate(x, 10).tolist() == whole[:, 12:].tolist()


def test_generation_of_padded_rows_is_that_of_each_alone() -> None:
    model = tiny()
    rows = [tokens(1, length, seed=length)[0] for length in (13, 4)]
    batch, mask = padded(rows, left=True)
    together = model.generate(batch, 8, mask=mask)
    assert together.tolist() == [model.generate(row[None], 8)[0].tolist() for row in rows]


def test_generation_refuses_rows_padded_on_the_right() -> None:
    batch, mask = padded([tokens(1, 5)[0], tokens(1, 3)[0]], left=False)
    with pytest.raises(ValueError, match="padded on the left"):
        tiny().generate(batch, 3, mask=mask)


def test_generation_ends_at_a_stop_token() -> None:
    model, x = tiny(), tokens(2, 12)
    free = model.generate(x, 10)
    first, second = free[0].tolist(), free[1].tolist()
    stop = first[3]
    end = first.index(stop) + 1
    assert model.generate(x[:1], 10, stop=[stop])[0].tolist() == first[:end]
    # The other row goes on; the ended one repeats its stop token.
    both = model.generate(x, 10, stop=[stop]).tolist()
    assert stop not in second
    assert both == [first[:end] + [stop] * (10 - end), second]


def test_nothing_is_generated_for_a_limit_of_zero() -> None:
    assert tiny().generate(tokens(), 0).shape == (2, 0)
