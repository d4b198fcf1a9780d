"""The YAML file beside `trtllm-serve`: what has no flag, or whose flag the file would replace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from .flags import FlagError
from .yaml_data import NotYAML, documents

__all__ = ["Config", "read_config", "write_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the file says; names as in TensorRT-LLM's `LlmArgs`."""

    enable_attention_dp: bool
    dtype: Literal["auto", "fp8"]
    """Of the KV cache; `auto` is the model's own."""
    free_gpu_memory_fraction: float
    """Share of the memory that the weights leave free."""
    stream_interval: int
    """Tokens that are sent together."""


class _KVCache(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    dtype: Literal["auto", "fp8"]
    free_gpu_memory_fraction: float


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    enable_attention_dp: bool = False
    kv_cache_config: _KVCache
    stream_interval: int = 1


def write_config(config: Config) -> str:
    """The file's text."""
    return (
        f"enable_attention_dp: {'true' if config.enable_attention_dp else 'false'}\n"
        "kv_cache_config:\n"
        f"  dtype: {config.dtype}\n"
        f"  free_gpu_memory_fraction: {config.free_gpu_memory_fraction:.2f}\n"
        f"stream_interval: {config.stream_interval}\n"
    )


def read_config(text: str) -> Config:
    """What such a file says.

    Raises:
        FlagError: it is no YAML, lacks something, or says what a launch cannot express.
    """
    try:
        found = documents(text)
        read = _File.model_validate(found[0] if len(found) == 1 else None)
    except NotYAML as error:
        raise FlagError(f"TensorRT-LLM's configuration file is no YAML: {error}.") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors())
        raise FlagError(f"TensorRT-LLM's configuration file is not one of a plan here: {wrong}.") from None
    return Config(
        enable_attention_dp=read.enable_attention_dp,
        dtype=read.kv_cache_config.dtype,
        free_gpu_memory_fraction=read.kv_cache_config.free_gpu_memory_fraction,
        stream_interval=read.stream_interval,
    )
