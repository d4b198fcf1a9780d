"""A model's spec: its architecture, the format of its weights, and what follows from them in parameters and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..launch import KVType
from .architecture import Architecture, read_architecture, read_config
from .formats import Format, Formats, matrix_bytes, read_formats
from .matrices import COMPONENTS, Component, Matrix, matrices

__all__ = ["ModelSpec", "from_config", "read_model"]

KV_BYTES: Mapping[KVType, int] = {"bf16": 2, "fp8": 1}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What planning needs to know of a model. All counts are exact for the architecture and the formats given."""

    name: str
    architecture: Architecture
    formats: Formats
    thinking: bool
    """Whether it thinks before it answers, so that the engine must parse its thoughts apart."""
    unverified: Mapping[str, str]
    """Fields whose value we could not check against the published file, and why; a config.json of one's own has none."""
    vision: bool = False
    """Whether its config.json has a vision tower beside the language model. That is counted nowhere here."""

    @cached_property
    def _matrices(self) -> tuple[Matrix, ...]:
        return matrices(self.architecture)

    @cached_property
    def parameters(self) -> Mapping[Component, int]:
        """Parameters by component."""
        return {c: sum(m.parameters for m in self._matrices if m.component == c) for c in COMPONENTS}

    @property
    def total_parameters(self) -> int:
        """All parameters of the language model."""
        return sum(self.parameters.values())

    @property
    def active_parameters(self) -> int:
        """Parameters that one token is multiplied with: of the routed experts those chosen, of the embedding (a look-up) none."""
        arch, parts = self.architecture, self.parameters
        unused = parts["routed experts"] * (arch.n_routed_experts - arch.num_experts_per_tok) // arch.n_routed_experts
        return self.total_parameters - unused - (0 if arch.tie_word_embeddings else parts["embedding"])

    @cached_property
    def component_bytes(self) -> Mapping[Component, int]:
        """Bytes by component, scales included."""
        return {c: sum(self.bytes_of(m) for m in self._matrices if m.component == c) for c in COMPONENTS}

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of all weights with their scales, without the files' headers."""
        return sum(self.component_bytes.values())

    def bytes_of(self, matrix: Matrix) -> int:
        """Bytes of a matrix in this model's format, scales included."""
        return matrix_bytes(matrix, self.formats[matrix.component])

    def kv_bytes_per_token_and_layer(self, kv: KVType = "bf16") -> int:
        """Bytes of MLA's latent cache for a token in one layer."""
        return self.architecture.latent_dim * KV_BYTES[kv]

    def kv_bytes_per_token(self, kv: KVType = "bf16") -> int:
        """Bytes of MLA's latent cache for a token in all layers; on each rank that holds the token."""
        return self.architecture.num_hidden_layers * self.kv_bytes_per_token_and_layer(kv)

    @property
    def weight_format(self) -> Format:
        """The format of the routed experts, which are nearly all of the model."""
        return self.formats["routed experts"]


def read_model(path: Path, *, thinking: bool | None = None) -> ModelSpec:
    """The spec of a checkpoint of one's own, from its `config.json`; `path` is that file or its folder.

    Whether it thinks stands in no config.json. Every K2 in int4 does (K2-Thinking, K2.5 and later), and those in fp8 do not;
    `thinking` overrides that.

    Raises:
        SpecError: it cannot be read, or is no K2-like model's.
    """
    config = read_config(path)
    formats = read_formats(config)
    guess = formats["routed experts"] == "int4-g32"
    whole = path.resolve()
    name = whole.parent.name if path.is_file() else whole.name
    # a folder may be called anything; the name goes into tables, messages and files
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return from_config(shown or "model", config, thinking=guess if thinking is None else thinking)


def from_config(name: str, config: dict[str, Any], *, thinking: bool, unverified: Mapping[str, str] | None = None) -> ModelSpec:
    """The spec that a `config.json`'s content gives.

    Raises:
        SpecError: it is no K2-like model's.
    """
    return ModelSpec(
        name=name,
        architecture=read_architecture(config),
        formats=read_formats(config),
        thinking=thinking,
        unverified=unverified or {},
        vision=isinstance(config.get("vision_config"), dict),
    )
