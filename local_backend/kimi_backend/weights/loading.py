"""A checkpoint's folder into the reference model: safetensors in one file or with an index; bf16, block-fp8 and packed int4."""

# torch and safetensors annotate only a part of their methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..reference_model import K2
from ..specs.architecture import read_architecture, read_config
from .block_fp8 import WeightsError, dequantise
from .packed_int4 import unpack

__all__ = ["load"]

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
EMBEDDING = "model.embed_tokens.weight"


class _Index(BaseModel):
    weight_map: dict[str, str]


def load(path: Path | str, *, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu") -> K2:
    """The model in a checkpoint's folder. Quantised weights become `dtype`, one by one; the router's biases stay in fp32.

    Of a multimodal checkpoint (K2.5) only the language model is read. Layers beyond num_hidden_layers, which predict several
    tokens at once (MTP), are left out.

    Args:
        path: folder with `config.json` and the safetensors files.
        dtype: of the parameters.
        device: where they go.

    Raises:
        SpecError: `config.json` is missing, or not that of a K2-like model.
        WeightsError: files are missing, cut or not the model's; nothing is filled in, and no tensor is silently left out.
    """
    folder = Path(path)
    model = K2(read_architecture(read_config(folder)), dtype=dtype, device="meta")
    parameters = dict(model.named_parameters())
    places = _places(folder)
    prefix = next((name.removesuffix(EMBEDDING) for name in places if name.endswith(EMBEDDING)), "")
    parts = {name: _parts(prefix + name, places) for name in parameters}
    _check_names(model, prefix, parts, places)
    state: dict[str, Tensor] = {}
    with _Shards(places) as shards:
        for name, parameter in parameters.items():
            found = _weight(name, [shards.read(part) for part in parts[name]], parameter.dtype)
            if found.shape != parameter.shape:
                raise WeightsError(f"{name} is of shape {list(found.shape)}; by config.json it would be {list(parameter.shape)}")
            state[name] = found.to(device)
    model.load_state_dict(state, strict=False, assign=True)
    model.tie_weights()
    return model


def _parts(name: str, names: Collection[str]) -> Sequence[str]:
    """The tensors that a parameter is kept in; none if it is missing."""
    forms = ((name, f"{name}_scale_inv"), (f"{name}_packed", f"{name}_scale", f"{name}_shape"), (name,))
    return next((form for form in forms if all(part in names for part in form)), ())


def _weight(name: str, parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """The parameter that `parts` stand for, in memory of its own."""
    try:
        match parts:
            case packed, scale, shape:
                return unpack(packed, scale, shape, dtype=dtype)
            case weight, scale_inv:
                return dequantise(weight, scale_inv, dtype=dtype)
            case _:
                return _plain(parts[0], dtype)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error


def _plain(weight: Tensor, dtype: torch.dtype) -> Tensor:
    if not weight.dtype.is_floating_point or weight.dtype.itemsize < 2:
        raise WeightsError(f"its values are {weight.dtype} without scales, so what they stand for is unknown")
    # A copy: what is only mapped would change, or be gone, with the file.
    return weight.to(dtype, copy=True)


def _check_names(model: K2, prefix: str, parts: dict[str, Sequence[str]], places: Collection[str]) -> None:
    """Refuse a checkpoint that lacks a parameter, or that holds one which the model would not use."""
    if missing := [name for name, found in parts.items() if not found]:
        raise WeightsError(f"the checkpoint lacks {len(missing)} of {len(parts)} weights, first {missing[0]}")
    used = {part for found in parts.values() for part in found}
    layers = model.arch.num_hidden_layers
    strange = [
        n for n in places if n not in used and n.startswith(prefix) and not _dispensable(n.removeprefix(prefix), layers, model)
    ]
    if strange:
        raise WeightsError(
            f"the checkpoint holds {len(strange)} tensors that this architecture has no use for, first {strange[0]!r}"
        )


def _dispensable(name: str, layers: int, model: K2) -> bool:
    """Whether a tensor may be left out: a layer for MTP, the head where it is tied, frequencies that are computed anyway."""
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    tied = model.arch.tie_word_embeddings and name == "lm_head.weight"
    return tied or name.endswith(".rotary_emb.inv_freq") or (layer is not None and int(layer[1]) >= layers)


def _places(folder: Path) -> dict[str, Path]:
    """The file of each tensor."""
    index, single = folder / INDEX, folder / SINGLE
    if not index.exists():
        with _told(single), safe_open(single, "pt") as file:
            return dict.fromkeys(cast("list[str]", file.keys()), single)
    try:
        found = _Index.model_validate_json(index.read_bytes()).weight_map
    except (OSError, ValidationError) as error:
        raise WeightsError(f"{index} cannot be read as an index of tensors: {error}") from error
    if outside := [name for name in found.values() if Path(name).name != name or name in {"", ".."} or "\0" in name]:
        raise WeightsError(f"{index} names {outside[0]!r}, which is not a plain file name")
    return {tensor: folder / name for tensor, name in found.items()}


class _Shards(ExitStack):
    """The files, each opened when it is first needed."""

    def __init__(self, places: dict[str, Path]) -> None:
        super().__init__()
        self._places = places
        self._files: dict[Path, safe_open] = {}

    def read(self, name: str) -> Tensor:
        """One tensor.

        Raises:
            WeightsError: its file is missing or cut, or does not hold it.
        """
        path = self._places[name]
        with _told(path):
            if path not in self._files:
                self._files[path] = self.enter_context(safe_open(path, "pt"))
            return cast("Tensor", self._files[path].get_tensor(name))


@contextmanager
def _told(path: Path) -> Generator[None]:
    """The same errors for all that can be wrong with a file."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}; is it missing, or was its download cut?") from error
