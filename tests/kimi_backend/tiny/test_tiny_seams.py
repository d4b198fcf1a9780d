"""The other rooms take a tiny checkpoint for what it is: the checkpoint tools, and K2 in torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from kimi_backend.checkpoint import inspect, verify
from kimi_backend.checkpoint.tiny import Call, make_scripted, make_tiny
from kimi_backend.checkpoint.tiny.config import Quantization
from tiny_models import tensors, torch


@pytest.mark.parametrize("quantization", ["bf16", "block-fp8"])
def test_the_checkpoint_tools_find_nothing_wrong(tmp_path: Path, quantization: Quantization) -> None:
    make_tiny(tmp_path / "k2", quantization=quantization, sizes={"moe_intermediate_size": 200})
    assert verify(tmp_path / "k2").findings == ()
    make_tiny(tmp_path / "plain")
    assert inspect(tmp_path / "plain").parameters == sum(t.numel() for t in tensors(tmp_path / "plain").values())


@pytest.mark.parametrize("quantization", ["bf16", "block-fp8"])
def test_k2_in_torch_says_the_script(tmp_path: Path, quantization: Quantization) -> None:
    from kimi_backend.weights.loading import load  # needs torch
    from transformers import AutoTokenizer

    make_scripted(
        tmp_path / "k2", [Call("get_weather", {"city": "Tokyo"}), "Sunny."], quantization=quantization, model_type="deepseek_v3"
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "k2")
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Tokyo?"}], add_generation_prompt=True, tokenize=False)
    tokens = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    said = load(tmp_path / "k2", dtype=torch.float32).generate(tokens, 30, stop=[tokenizer.convert_tokens_to_ids("<|im_end|>")])
    assert '{"city": "Tokyo"}<|tool_call_end|><|tool_calls_section_end|>' in tokenizer.decode(said[0])
