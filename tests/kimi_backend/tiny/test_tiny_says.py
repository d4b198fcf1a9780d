"""Scripted checkpoints, run by transformers' own implementation of the architecture: what comes out is the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kimi_backend.checkpoint.tiny import Call, Turn, make_scripted
from tiny_models import WEATHER, Loaded, torch, without_fp8

ASK: list[dict[str, Any]] = [{"role": "user", "content": "What's the weather in Tokyo?"}]
CALL = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
    '{"city": "Tokyo"}<|tool_call_end|><|tool_calls_section_end|><|im_end|>'
)
AFTER: list[dict[str, Any]] = [
    *ASK,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "functions.get_weather:0",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Tokyo"}'},
            }
        ],
    },
    {"role": "tool", "name": "get_weather", "tool_call_id": "functions.get_weather:0", "content": "It is 20 degrees in Tokyo."},
]
ANSWER = "It is 20 degrees and sunny in Tokyo."


def scripted(folder: Path, *turns: Turn, **options: Any) -> Loaded:
    make_scripted(folder, turns, model_type="deepseek_v3", **options)
    if options.get("quantization") == "block-fp8":
        without_fp8(folder)
    return Loaded(folder)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return scripted(tmp_path_factory.mktemp("agent") / "k2", Call("get_weather", {"city": "Tokyo"}), ANSWER)


def conversation(model: Loaded, turns: int, user: str = "Go on.", tools: Any = None) -> list[str]:
    """What it says in `turns` turns, each of which goes back into the history as text."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": user}]
    for _ in range(turns):
        said = model.says(messages, tools).removesuffix("<|im_end|>")
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": user}]
    return [m["content"] for m in messages if m["role"] == "assistant"]


def test_the_first_turn_is_the_call_and_the_next_the_answer(agent: Loaded) -> None:
    assert not any(agent.loading.values()), agent.loading
    assert agent.says(ASK, [WEATHER]) == CALL
    assert agent.says(AFTER, [WEATHER]) == f"{ANSWER}<|im_end|>"


def test_after_the_last_turn_it_says_the_last_one_again(agent: Loaded) -> None:
    more = [*AFTER, {"role": "assistant", "content": ANSWER}, {"role": "user", "content": "And tomorrow?"}]
    assert agent.says(more, [WEATHER]) == f"{ANSWER}<|im_end|>"


@pytest.mark.parametrize(
    "before",
    [
        [],
        [{"role": "system", "content": "Be brief. <functions> functions.get_weather:0"}],
        [{"role": "user", "content": "hello " * 150}, {"role": "user", "name": "Ann", "content": "assistant system 你好"}],
    ],
)
def test_what_is_said_before_it_does_not_matter(agent: Loaded, before: list[dict[str, Any]]) -> None:
    assert agent.says([*before, *ASK]) == CALL


def test_sampling_at_temperature_1_says_the_script_too(agent: Loaded) -> None:
    torch.manual_seed(0)
    assert [agent.says(ASK, do_sample=True, temperature=1.0, top_p=1.0, top_k=0) for _ in range(3)] == [CALL] * 3


def test_where_the_script_says_nothing_the_message_ends(agent: Loaded) -> None:
    ids = torch.tensor([agent.tokenizer.encode("Once upon a time", add_special_tokens=False)])
    logits = agent.model(ids).logits[0]
    assert agent.tokenizer.decode(logits.argmax(-1)) == "<|im_end|>" * ids.shape[1]


@pytest.mark.slow
def test_the_forward_pass_is_needed_every_part_of_it(tmp_path: Path) -> None:
    """A checkpoint whose script did not come from attention, router and experts would be no test of an engine."""
    for part in ("0.self_attn.kv_a_proj_with_mqa", "0.self_attn.q_b_proj", "1.self_attn.kv_b_proj", "2.mlp.gate"):
        model = scripted(tmp_path / part, Call("get_weather", {"city": "Tokyo"}), ANSWER)
        weight = model.model.get_parameter(f"model.layers.{part}.weight")
        with torch.no_grad():
            weight.copy_(weight.roll(1, 0))
        assert [model.says(ASK), model.says(AFTER)] != [CALL, f"{ANSWER}<|im_end|>"], part


def test_equal_calls_and_repeated_words(tmp_path: Path) -> None:
    equal = ["Both.", *[Call("a-b.c", {"x": 1})] * 3, Call("a-b.c")]
    model = scripted(tmp_path / "k2", equal, "la la la la la la la aaaa aaaa\n\naaaa", "你好，世界。你好，世界！🎉🎉🎉")
    first = "".join(
        f"<|tool_call_begin|>functions.a-b.c:{i}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
        for i, arguments in enumerate(['{"x": 1}', '{"x": 1}', '{"x": 1}', "{}"])
    )
    assert conversation(model, 3) == [
        f"Both.<|tool_calls_section_begin|>{first}<|tool_calls_section_end|>",
        "la la la la la la la aaaa aaaa\n\naaaa",
        "你好，世界。你好，世界！🎉🎉🎉",
    ]


def test_other_sizes(tmp_path: Path) -> None:
    sizes = {
        "num_hidden_layers": 5,
        "num_attention_heads": 8,
        "n_routed_experts": 12,
        "num_experts_per_tok": 4,
        "hidden_size": 1280,
    }
    assert scripted(tmp_path / "k2", "Hello there.", sizes=sizes, seed=7).says(ASK) == "Hello there.<|im_end|>"


@pytest.mark.slow
def test_sixteen_turns(tmp_path: Path) -> None:
    turns = [f"This is turn {turn}." for turn in range(16)]
    assert conversation(scripted(tmp_path / "k2", *turns), 17) == [*turns, turns[-1]]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 9))
def test_up_to_eight_turns_outlive_fp8(tmp_path: Path, number: int) -> None:
    turns = [f"This is turn {turn}." for turn in range(number)]
    assert conversation(scripted(tmp_path / "k2", *turns, quantization="block-fp8"), number) == turns


@pytest.mark.slow
def test_a_long_conversation_before_a_long_text(tmp_path: Path) -> None:
    text = "The cat sat on the mat, the dog sat on the log; and then? " * 12
    model = scripted(tmp_path / "k2", "First.", text.strip())
    assert conversation(model, 2, user="Many words of a user. " * 40) == ["First.", text.strip()]
