"""The shape of a DeepSeek-V3-like mixture of experts, as Kimi K2's `config.json` tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import BackendError

_SIZE, _LAYERS = 1 << 30, 10_000
_MOST_BYTES = 16 << 20
"""Far more than any config.json has: those of K2 take some kilobytes."""

__all__ = ["Architecture", "RopeScaling", "SpecError", "read_architecture", "read_config"]


class SpecError(BackendError):
    """A `config.json` that cannot be read as a K2-like model; the text says which field, and what it should be."""


class RopeScaling(BaseModel):
    """YaRN's parameters, named as in `config.json`. Source: arXiv 2309.00071."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    factor: float = Field(gt=0)
    original_max_position_embeddings: int = Field(gt=0, le=_SIZE)
    beta_fast: float = Field(default=32.0, gt=0)
    beta_slow: float = Field(default=1.0, gt=0)
    mscale: float = 1.0
    mscale_all_dim: float = 0.0


class Architecture(BaseModel):
    """Sizes of the model, named as in `config.json`; those that it may leave out have the defaults of DeepSeek-V3's own code."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    hidden_size: int = Field(gt=0, le=_SIZE)
    num_hidden_layers: int = Field(gt=0, le=_LAYERS)
    first_k_dense_replace: int = Field(ge=0, le=_LAYERS)
    moe_layer_freq: int = Field(default=1, gt=0, le=_LAYERS)
    num_attention_heads: int = Field(gt=0, le=_SIZE)
    q_lora_rank: int = Field(gt=0, le=_SIZE)
    kv_lora_rank: int = Field(gt=0, le=_SIZE)
    qk_nope_head_dim: int = Field(gt=0, le=_SIZE)
    qk_rope_head_dim: int = Field(gt=0, le=_SIZE)
    v_head_dim: int = Field(gt=0, le=_SIZE)
    intermediate_size: int = Field(gt=0, le=_SIZE)
    moe_intermediate_size: int = Field(gt=0, le=_SIZE)
    n_routed_experts: int = Field(gt=0, le=_SIZE)
    n_shared_experts: int = Field(default=1, ge=0, le=_SIZE)
    num_experts_per_tok: int = Field(gt=0, le=_SIZE)
    n_group: int = Field(default=1, gt=0, le=_SIZE)
    topk_group: int = Field(default=1, gt=0, le=_SIZE)
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 1.0
    vocab_size: int = Field(gt=0, le=_SIZE)
    max_position_embeddings: int = Field(gt=0, le=_SIZE)
    rms_norm_eps: float = Field(default=1e-6, gt=0)
    rope_theta: float = Field(default=10000.0, gt=0)
    rope_scaling: RopeScaling | None = None
    tie_word_embeddings: bool = False

    @property
    def moe_layers(self) -> tuple[int, ...]:
        """The layers (from 0) whose MLP is a mixture of experts."""
        first, every = self.first_k_dense_replace, self.moe_layer_freq
        return tuple(layer for layer in range(self.num_hidden_layers) if layer >= first and layer % every == 0)

    @property
    def qk_head_dim(self) -> int:
        """Width of a head's query and key: the part without and the part with rotary positions."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_dim(self) -> int:
        """What MLA caches per token and layer: the compressed keys and values, and the one rotary key, in elements."""
        return self.kv_lora_rank + self.qk_rope_head_dim


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object of a `config.json`; `path` is the file, or the checkpoint's folder.

    Raises:
        SpecError: there is no such file, or it holds no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        if file.exists() and not file.is_file():
            raise SpecError(f"{file} is not a file")  # a pipe would be waited for without end
        with file.open("rb") as opened:
            raw = opened.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise SpecError(f"{file} is longer than {_MOST_BYTES:,} bytes, and so is no model's configuration")
        found: object = json.loads(raw.decode("utf-8"))
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror or error}; name a checkpoint's folder or its config.json") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SpecError(f"{file} holds {type(found).__name__}, not a JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def read_architecture(config: dict[str, Any]) -> Architecture:
    """The architecture in a `config.json`. Multimodal models (K2.5) nest the language model's under `text_config`.

    Raises:
        SpecError: a field is missing or impossible.
    """
    nested = config.get("text_config")
    try:
        return Architecture.model_validate(nested if isinstance(nested, dict) else config)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SpecError(f"config.json is not that of a K2-like model: {problems}") from error
