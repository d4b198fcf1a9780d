"""Tiny checkpoints as transformers' own DeepseekV3ForCausalLM runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from needs import needs

torch = needs("torch")
transformers = needs("transformers")
needs("safetensors")
needs("tokenizers")
# On a busy machine, threads that wait for each other take far longer than these sizes do.
torch.set_num_threads(1)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"], "type": "object"},
    },
}


def tensors(folder: Path) -> dict[str, Any]:
    """All tensors of the checkpoint, read by safetensors' own library."""
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


class Loaded:
    """A checkpoint's model and tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self.model, self.loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, output_loading_info=True
        )

    def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> Any:
        """Token ids of the prompt, `[1, length]`."""
        text = self.tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
        return torch.tensor([self.tokenizer.encode(text, add_special_tokens=False)])

    def says(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None, **sampling: Any) -> str:
        """What is generated, markers and all."""
        prompt = self.prompt(messages, tools)
        with torch.inference_mode():
            found = self.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=400, **({"do_sample": False} | sampling)
            )
        return self.tokenizer.decode(found[0, prompt.shape[1] :])


def without_fp8(folder: Path) -> None:
    """Makes a block-fp8 checkpoint a bf16 one, by the published definition: weight * scale of its 128 x 128 block."""
    from safetensors.torch import save_file

    kept: dict[str, Any] = {}
    found = tensors(folder)
    for name, tensor in found.items():
        if name.endswith("_scale_inv"):
            continue
        if (scale := found.get(f"{name}_scale_inv")) is not None:
            rows, columns = tensor.shape
            tensor = tensor.float() * scale.repeat_interleave(128, 0)[:rows].repeat_interleave(128, 1)[:, :columns]
        kept[name] = tensor.bfloat16() if tensor.dtype != torch.float32 or scale is not None else tensor
    for file in folder.glob("model*"):
        file.unlink()
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
