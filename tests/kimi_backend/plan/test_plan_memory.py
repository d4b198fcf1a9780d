"""What a rank holds, part by part, and how many tokens that leaves: the reference's table."""

from __future__ import annotations

import pytest
from kimi_backend.hardware import find_gpu
from kimi_backend.launch import EngineName
from kimi_backend.plan import RankMemory
from plan_makers import K2, THINKING, laid_out

ROUTED, ATTENTION_LAYER, EXPERT = 1_014_686_023_680, 101_122_048, 44_040_192
LOW_RANK_LAYER = 11_010_048 + 4_128_768  # q_a, kv_a
KV_B_LAYER, DENSE, EMBEDDING = 8_388_608, 396_361_728, 1_174_405_120
ROUTER, NORMS = 165_150_720 + 23_040, 61 * (2 * 7168 + 1536 + 512) + 7168
SCALES = 0.0005
"""The share that fp32 scales of 128×128 blocks add, and more than edges add to that."""


def shares(memory: tuple[RankMemory, ...]) -> dict[str, tuple[int, int]]:
    """Ways and bytes of each part of the one kind of rank that there is."""
    (rank,) = memory
    return {part.name: (part.ways, part.bytes) for part in rank.parts}


def test_under_tensor_parallelism_only_low_rank_inputs_router_and_norms_are_on_every_rank() -> None:
    found = shares(laid_out("16xH200")[0])
    assert {name: ways for name, (ways, _) in found.items()} == {
        "routed experts": 16,
        "shared experts": 16,
        "dense MLP": 16,
        "attention, heads": 16,
        "absorbed kv_b": 16,
        "embedding": 16,
        "lm_head": 16,
        "attention, low-rank inputs": 1,
        "router": 1,
        "norms": 1,
    }


def test_under_attention_dp_and_ep_only_experts_and_the_head_are_shared() -> None:
    found = shares(laid_out("16xH200", attention_dp=16, ep=16)[0])
    assert {name for name, (ways, _) in found.items() if ways == 16} == {"routed experts", "lm_head"}
    assert {name for name, (ways, _) in found.items() if ways == 1} == {
        "shared experts",
        "dense MLP",
        "attention, heads",
        "absorbed kv_b",
        "embedding",
        "attention, low-rank inputs",
        "router",
        "norms",
    }


def test_under_four_attention_groups_heads_are_split_inside_a_group() -> None:
    found = shares(laid_out("16xH200", attention_dp=4, ep=16)[0])
    assert {name: ways for name, (ways, _) in found.items()} == {
        "routed experts": 16,
        "lm_head": 16,
        "attention, heads": 4,
        "absorbed kv_b": 4,
        "embedding": 4,
        "shared experts": 1,
        "dense MLP": 1,
        "attention, low-rank inputs": 1,
        "router": 1,
        "norms": 1,
    }


@pytest.mark.parametrize(
    ("part", "parameters", "bytes_each", "ways"),
    [
        ("routed experts", ROUTED, 1, 16),
        ("shared experts", 60 * EXPERT, 1, 16),
        ("dense MLP", DENSE, 1, 16),
        ("attention, heads", 61 * (ATTENTION_LAYER - LOW_RANK_LAYER), 1, 16),
        ("absorbed kv_b", 61 * KV_B_LAYER, 2, 16),
        ("embedding", EMBEDDING, 2, 16),
        ("lm_head", EMBEDDING, 2, 16),
        ("attention, low-rank inputs", 61 * LOW_RANK_LAYER, 1, 1),
        ("router", ROUTER, 2, 1),
        ("norms", NORMS, 2, 1),
    ],
)
def test_bytes_of_each_part_of_a_rank(part: str, parameters: int, bytes_each: int, ways: int) -> None:
    _, size = shares(laid_out("16xH200")[0])[part]
    assert size == pytest.approx(parameters * bytes_each / ways, rel=SCALES)


@pytest.mark.parametrize(
    ("gpus", "groups", "gigabytes"), [("16xH200", 1, 65.6), ("16xH200", 16, 76.5), ("8xH200", 1, 129.9), ("8xH200", 8, 140.1)]
)
def test_weights_of_a_rank(gpus: str, groups: int, gigabytes: float) -> None:
    ((rank,), _) = laid_out(gpus, attention_dp=groups, ep=groups)
    assert rank.weights / 1e9 == pytest.approx(gigabytes, abs=0.05)


def test_an_engine_that_copies_the_head_to_every_group_holds_2_2_gb_more() -> None:
    ((sliced,), _) = laid_out("16xH200", attention_dp=16, ep=16)
    ((whole,), _) = laid_out("16xH200", attention_dp=16, ep=16, name="vllm")
    assert (whole.weights - sliced.weights) / 1e9 == pytest.approx(2.2, abs=0.05)


TENSOR = [  # cluster, fraction, bf16 and fp8 tokens in thousands, what the last printed digit is worth
    ("8xH200", 0.90, 83, 165, 0.5),
    ("8xH200", 0.95, 190, 380, 0.5),
    ("8xH20-141", 0.90, 83, 165, 0.5),
    ("16xH200", 0.90, 998, 2_000, 50),
    ("16xH20-141", 0.90, 998, 2_000, 50),
    ("16xH20-96", 0.90, 381, 763, 0.5),
    ("16xH100", 0.90, 162, 325, 0.5),
    ("16xH800", 0.90, 162, 325, 0.5),
    ("16xH100", 0.95, 223, 446, 0.5),
    ("8xB200", 0.90, 614, 1_230, 5),
    ("16xB200", 0.90, 1_530, 3_060, 5),
]


@pytest.mark.parametrize(("gpus", "fraction", "bf16", "fp8", "digit"), TENSOR)
def test_tokens_under_tensor_parallelism(gpus: str, fraction: float, bf16: float, fp8: float, digit: float) -> None:
    for kv, thousands, size in (("bf16", bf16, 70_272), ("fp8", fp8, 35_136)):
        _, pool = laid_out(gpus, fraction=fraction, kv_dtype=kv)
        allowed = max(0.02 * thousands, 0.05e9 / size / 1000, digit)
        assert pool.tokens / 1000 == pytest.approx(thousands, abs=allowed), kv


@pytest.mark.parametrize(
    ("gpus", "fraction", "thousands", "digit"),
    [
        ("8xH200", 0.95, 358, 0.5),
        ("16xH200", 0.90, 13_500, 50),
        ("16xH20-96", 0.90, 3_600, 50),
        ("16xH100", 0.90, 109, 0.5),
        ("16xH100", 0.95, 1_080, 5),
        ("8xB200", 0.90, 3_750, 5),
        ("16xB200", 0.90, 22_000, 500),
    ],
)
def test_tokens_under_attention_dp_over_all_ranks(gpus: str, fraction: float, thousands: float, digit: float) -> None:
    ranks = int(gpus.partition("x")[0])
    _, pool = laid_out(gpus, fraction=fraction, attention_dp=ranks, ep=ranks)
    allowed = max(0.02 * thousands, ranks * 0.05e9 / 70_272 / 1000, digit)
    assert pool.tokens / 1000 == pytest.approx(thousands, abs=allowed)
    assert pool.groups == ranks


@pytest.mark.parametrize(("gpus", "fraction"), [("8xH200", 0.90), ("16xH100", 0.89), ("16xH800", 0.85)])
def test_attention_dp_does_not_fit(gpus: str, fraction: float) -> None:
    ranks = int(gpus.partition("x")[0])
    ((rank,), pool) = laid_out(gpus, fraction=fraction, attention_dp=ranks, ep=ranks)
    assert rank.kv < 0
    assert pool.tokens == 0


@pytest.mark.parametrize(
    ("gpus", "kv", "sessions", "digit"),
    [("16xH200", "bf16", 7.6, 0.05), ("16xH200", "fp8", 15, 0.5), ("16xH100", "bf16", 1.2, 0.05), ("16xH100", "fp8", 2.5, 0.05)],
)
def test_sessions_of_128k(gpus: str, kv: str, sessions: float, digit: float) -> None:
    _, pool = laid_out(gpus, kv_dtype=kv)
    assert pool.tokens / 131_072 == pytest.approx(sessions, abs=max(digit, 0.02 * sessions))
    assert pool.sessions(131_072) == int(sessions)


def test_no_session_is_spread_over_two_groups() -> None:
    _, pool = laid_out("16xH200", attention_dp=16, ep=16)
    assert pool.tokens / 131_072 == pytest.approx(103, abs=1)
    assert pool.sessions(131_072) == 16 * 6  # 844 thousand tokens in each hold six


def test_every_byte_of_the_card_is_accounted_for() -> None:
    engines: tuple[EngineName, ...] = ("sglang", "vllm", "tensorrt-llm")
    for gpus, name in zip(("16xH200", "16xH200", "16xB200"), engines, strict=True):
        ((rank,), _) = laid_out(gpus, name=name)
        assert rank.weights + rank.activations + rank.kv + rank.rest == rank.card == find_gpu(gpus.partition("x")[2]).memory


def test_vllms_own_figure_for_k2_thinking_on_8_h200() -> None:
    _, pool = laid_out("8xH200", THINKING, name="vllm")
    assert pool.tokens == pytest.approx(715_072, rel=0.02)
    _, split = laid_out("8xH200", THINKING, name="vllm", dcp=8)
    assert split.tokens == pytest.approx(5_721_088, rel=0.02)


def test_without_vllms_activations_it_would_be_850_thousand() -> None:
    ((rank,), pool) = laid_out("8xH200", THINKING)
    assert rank.weights / 1e9 == pytest.approx(76, abs=0.5)
    assert pool.tokens == pytest.approx(850_000, rel=0.02)


def test_a_fraction_of_what_is_free_leaves_more_to_the_cache_than_one_of_the_card() -> None:
    ((rank,), _) = laid_out("16xH200", name="tensorrt-llm")
    assert rank.kv == pytest.approx(0.9 * (rank.card - rank.weights), abs=1)


def test_pipeline_stages_hold_their_own_layers_and_the_ends() -> None:
    memory, pool = laid_out("16xH100", name="vllm", tp=8, pp=2)
    first, last = memory
    assert first.stage.layers + last.stage.layers == 61
    assert {p.name for p in first.parts} - {p.name for p in last.parts} == {"embedding", "dense MLP"}
    assert {p.name for p in last.parts} - {p.name for p in first.parts} == {"lm_head"}
    fullest = min(r.kv // (r.stage.layers * 1152) for r in memory)
    assert pool.tokens == fullest


@pytest.mark.parametrize(
    ("name", "pp", "layers"),
    [
        ("sglang", 2, [30, 31]),  # srt/distributed/utils.py get_pp_indices: "the last N partitions will have one extra layer"
        ("sglang", 4, [15, 15, 15, 16]),
        ("sglang", 8, [7, 7, 7, 8, 8, 8, 8, 8]),
        ("vllm", 2, [31, 30]),  # vllm/distributed/utils.py get_pp_indices: "evenly distributed across all but the last partition"
        ("vllm", 4, [15, 15, 16, 15]),
        ("vllm", 8, [7, 7, 8, 8, 8, 8, 8, 7]),
        ("tensorrt-llm", 2, [31, 30]),  # tensorrt_llm/mapping.py pp_layers: "first n ranks get one extra layer"
        ("tensorrt-llm", 4, [16, 15, 15, 15]),
    ],
)
def test_layers_left_over_go_where_the_engine_puts_them(name: EngineName, pp: int, layers: list[int]) -> None:
    memory, _ = laid_out(f"{pp}x8xB200", name=name, tp=8, pp=pp)
    found = [rank.stage for rank in memory]
    assert [stage.layers for stage in found] == layers
    assert [i for s in found for i in range(s.first, s.first + s.layers)] == list(range(61))
    assert [s.is_first for s in found] == [True] + [False] * (pp - 1)
    assert [s.is_last for s in found] == [False] * (pp - 1) + [True]


def test_the_stages_of_all_ranks_hold_the_whole_model() -> None:
    memory, _ = laid_out("16xH100", tp=8, pp=2)
    whole = sum(part.bytes * part.ways for rank in memory for part in rank.parts if part.name != "absorbed kv_b")
    assert whole == pytest.approx(K2.checkpoint_bytes, rel=1e-6)
