"""What a tiny checkpoint's folder holds: as any tool that reads K2's would expect it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kimi_backend.checkpoint.tiny import TinyError, make_scripted, make_tiny
from tiny_models import WEATHER, Loaded, tensors, torch, without_fp8

from kimi_agent import AssistantMessage, SystemMessage, ToolCall, ToolMessage, ToolSpec, UserMessage
from kimi_agent.wire.native.k2_style import K2
from kimi_agent.wire.native.k2_template import render

MARKERS = ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>"]
MARKERS += ["<|tool_call_end|>", "<think>", "</think>"]
SPECIAL = ["[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|im_system|>", "<|im_middle|>", "[PAD]"]
TEXTS = [
    "",
    "Hello, world!",
    "  two\n\n\nlines\t",
    "你好，世界 🎉",
    "naïve café 𝔘",
    "\x00\x7f",
    '{"a": [1.5e-3, null]}',
    "assistantassistant",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "k2"
    make_tiny(folder, model_type="deepseek_v3")
    return folder


@pytest.fixture(scope="module")
def loaded(made: Path) -> Loaded:
    return Loaded(made)


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_folder_is_complete(made: Path) -> None:
    assert sorted(files(made)) == [
        "config.json", "generation_config.json",
        "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
        "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    index = json.loads((made / "model.safetensors.index.json").read_text())
    found = tensors(made)
    assert index["weight_map"].keys() == found.keys()
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in found.values())
    sizes = [file.stat().st_size for file in made.glob("*.safetensors")]
    assert max(sizes) < 2 * min(sizes)


def test_the_tensors_are_named_as_k2s(made: Path) -> None:
    attention = ["q_a_proj", "q_a_layernorm", "q_b_proj", "kv_a_proj_with_mqa", "kv_a_layernorm", "kv_b_proj", "o_proj"]
    both = [*(f"self_attn.{name}" for name in attention), "input_layernorm", "post_attention_layernorm"]
    mlp = ["gate_proj", "up_proj", "down_proj"]
    experts = [f"experts.{e}.{name}" for e in range(8) for name in mlp] + [f"shared_experts.{name}" for name in mlp]
    names = {f"model.layers.0.{name}.weight" for name in [*both, *(f"mlp.{m}" for m in mlp)]}
    for layer in (1, 2):
        names |= {f"model.layers.{layer}.{name}.weight" for name in [*both, *(f"mlp.{m}" for m in [*experts, "gate"])]}
        names |= {f"model.layers.{layer}.mlp.gate.e_score_correction_bias"}
    assert tensors(made).keys() == names | {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}


def test_transformers_finds_every_tensor_and_no_other(loaded: Loaded) -> None:
    assert not any(loaded.loading.values()), loaded.loading
    logits = loaded.model(loaded.prompt([{"role": "user", "content": "Hello."}])).logits
    assert logits.std() > 0.01
    assert logits.isfinite().all()


def test_the_config_is_k2s_but_for_the_size(tmp_path: Path) -> None:
    make_tiny(tmp_path / "k2")
    found = config(tmp_path / "k2")
    k2: dict[str, Any] = {
        "model_type": "kimi_k2", "architectures": ["DeepseekV3ForCausalLM"], "first_k_dense_replace": 1, "moe_layer_freq": 1,
        "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_shared_experts": 1,
        "n_group": 1, "topk_group": 1, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": True,
        "routed_scaling_factor": 2.827, "aux_loss_alpha": 0.001, "num_nextn_predict_layers": 0, "hidden_act": "silu",
        "tie_word_embeddings": False, "rope_theta": 50000.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 131072,
    }  # fmt: skip
    assert {key: found[key] for key in k2} == k2
    yarn = {"type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096, "beta_fast": 1.0, "beta_slow": 1.0}
    assert found["rope_scaling"] == {**yarn, "mscale": 1.0, "mscale_all_dim": 1.0}
    ids = json.loads((tmp_path / "k2" / "tokenizer.json").read_text())["added_tokens"]
    named = {token["content"]: token["id"] for token in ids}
    assert [found[f"{name}_token_id"] for name in ("bos", "eos", "pad")] == [named[t] for t in ("[BOS]", "[EOS]", "[PAD]")]
    generation = json.loads((tmp_path / "k2" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == named["<|im_end|>"]


def test_equal_arguments_write_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_tiny(tmp_path / name, seed=seed, shards=2)
        make_scripted(tmp_path / f"s{name}", ["Hello."], seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b") != files(tmp_path / "c")
    assert files(tmp_path / "sa") == files(tmp_path / "sb") != files(tmp_path / "sc")


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back(loaded: Loaded, text: str) -> None:
    assert loaded.tokenizer.decode(loaded.tokenizer.encode(text, add_special_tokens=False)) == text


def test_markers_are_tokens_that_skipping_special_ones_keeps(loaded: Loaded) -> None:
    ids = loaded.tokenizer.encode("".join([*MARKERS, *SPECIAL]), add_special_tokens=False)
    assert len(ids) == len(MARKERS) + len(SPECIAL)
    assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == "".join(MARKERS)


def test_the_template_is_k2s_wire_form(loaded: Loaded) -> None:
    """Against the SDK's own renderer, which is held against the checkpoints' templates."""
    ask = [{"role": "user", "name": "Ann", "content": "Rome?"}]
    function = {"name": "get_weather", "arguments": '{"city":  "Rome"}'}
    call = {"id": "functions.get_weather:0", "type": "function", "function": function}
    history = [
        {"role": "system", "content": "Be brief."},
        *ask,
        {"role": "assistant", "content": "Looking.", "tool_calls": [call]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "functions.get_weather:0", "content": "18 °C"},
        {"role": "assistant", "content": [{"type": "text", "text": "18 °C."}]},
        {"role": "user", "content": "Thanks."},
    ]
    ours = [
        SystemMessage("Be brief."),
        UserMessage("Rome?", name="Ann"),
        AssistantMessage("Looking.", (ToolCall("x", "get_weather", '{"city":  "Rome"}', 0),)),
        ToolMessage("x", "get_weather", "18 °C"),
        AssistantMessage("18 °C."),
        UserMessage("Thanks."),
    ]
    tool = {"type": "function", "function": {key: WEATHER["function"][key] for key in ("description", "name", "parameters")}}
    spec = ToolSpec("get_weather", "Tells the weather.", WEATHER["function"]["parameters"])
    in_order = {"function": tool["function"], "type": "function"}
    told = loaded.tokenizer.apply_chat_template
    assert told(history, tools=[in_order], add_generation_prompt=True, tokenize=False) == render(ours, [spec], K2)
    assert told(ask, add_generation_prompt=True, tokenize=False) == render(ours[1:2], (), K2)


def test_fp8_is_the_bf16_one_within_its_rounding(tmp_path: Path) -> None:
    make_tiny(tmp_path / "bf16", model_type="deepseek_v3")
    make_tiny(tmp_path / "fp8", model_type="deepseek_v3", quantization="block-fp8", shards=5)
    exact, stored = tensors(tmp_path / "bf16"), tensors(tmp_path / "fp8")
    linear = {n for n in exact if "_proj" in n}
    assert {n for n, t in stored.items() if t.dtype == torch.float8_e4m3fn} == linear
    assert stored.keys() - exact.keys() == {f"{n}_scale_inv" for n in linear}
    assert stored["model.layers.0.self_attn.kv_a_proj_with_mqa.weight_scale_inv"].shape == (5, 2)
    assert config(tmp_path / "fp8")["quantization_config"]["weight_block_size"] == [128, 128]
    without_fp8(tmp_path / "fp8")
    for name, tensor in tensors(tmp_path / "fp8").items():
        torch.testing.assert_close(tensor.float(), exact[name].float(), rtol=0.07, atol=2e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"sizes": {"hidden_sise": 5}}, "hidden_sise: no such size"),
        ({"sizes": {"hidden_size": 0}}, "hidden_size"),
        ({"sizes": {"vocab_size": 300}}, "vocab_size 300 is less than the tokenizer's"),
        ({"sizes": {"num_experts_per_tok": 9}}, "9 experts per token of only 8"),
        ({"shards": 0}, "0 shards"),
        ({"shards": 1000}, "1000 shards of"),
        ({"quantization": "int8"}, "use bf16 or block-fp8"),
        ({"model_type": "llama"}, "use kimi_k2 or deepseek_v3"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TinyError, match=said):
        make_tiny(tmp_path / "k2", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("turns", "arguments", "said"),
    [
        (["Hi."], {"sizes": {"hidden_size": 512}}, "hidden_size of at least 1024"),
        (["Hi."], {"sizes": {"num_hidden_layers": 2}}, "num_hidden_layers of at least 3"),
        (["word " * 9 + f"{i}." for i in range(16)], {"sizes": {"moe_intermediate_size": 8}}, "moe_intermediate_size of"),
        (["Hi."] * 17, {}, "17 turns are too many; a script has at most 16 in bf16"),
        (["Hi."] * 9, {"quantization": "block-fp8"}, "at most 8 in block-fp8"),
    ],
)
def test_scripts_that_do_not_fit(tmp_path: Path, turns: list[str], arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TinyError, match=said):
        make_scripted(tmp_path / "k2", turns, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(TinyError, match="is there already"):
        make_tiny(tmp_path)
    with pytest.raises(TinyError, match="is there already"):
        make_tiny(tmp_path / "kept")
    with pytest.raises(TinyError, match="cannot be made"):
        make_tiny(tmp_path / "kept" / "k2")
    assert (tmp_path / "kept").read_text() == "mine"
    assert [f.name for f in tmp_path.iterdir()] == ["kept"]


def test_strange_folder_names_and_empty_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a b'$(x)\n;" / "k2"
    folder.mkdir(parents=True)
    make_tiny(folder, shards=1)
    assert [f.name for f in folder.glob("*.safetensors")] == ["model-00001-of-00001.safetensors"]
    assert [f.name for f in folder.parent.iterdir()] == ["k2"]


@pytest.mark.slow
def test_a_file_that_cannot_grow_leaves_nothing(tmp_path: Path) -> None:
    """The limit on a file's size stands for a full disk: the kernel refuses the write in the middle."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from kimi_backend.checkpoint.tiny import make_tiny, TinyError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try: make_tiny(Path(sys.argv[1]))\n"
        "except TinyError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "k2")], capture_output=True, text=True, timeout=50)
    assert "could not be written" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
