"""Tensors against the architecture that config.json tells: names, shapes, element types, scales, layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from ..specs import Architecture, Formats
from .findings import Finding
from .headers import TensorInfo
from .layout import SCALE_SUFFIX, Expected, expected_tensors, layer_of, prefix_of

__all__ = ["check_tensors"]

#: Endings of the tensors that say how others are quantised.
_SCALES = (f".weight{SCALE_SUFFIX}", ".weight_scale", ".weight_shape")
Place = tuple[str, TensorInfo]


def check_tensors(arch: Architecture, formats: Formats, found: Mapping[str, Place], unread: Collection[str]) -> Iterator[Finding]:
    """What differs from the architecture.

    Args:
        arch: sizes of the model.
        formats: format of each component, as config.json's quantization_config tells.
        found: file and header's entry of each tensor.
        unread: tensors that lie in files that could not be read: they are not reported a second time.
    """
    expected = expected_tensors(arch, formats, prefix_of(found))
    missing = [name for name in expected if name not in found and name not in unread]
    absent = _absent_layers(missing, expected)
    if absent:
        yield _layers_missing(absent, arch.num_hidden_layers)
    for name in missing:
        if layer_of(name) not in absent:
            yield _missing(name, found)
    for name, (file, tensor) in found.items():
        if name in expected:
            yield from _check(name, file, tensor, expected[name])
        else:
            yield _unexpected(name, file, found)


def _absent_layers(missing: list[str], expected: Mapping[str, Expected]) -> list[int]:
    """Layers of which nothing is there."""
    wanted = Counter(layer_of(name) for name in expected)
    gone = Counter(layer_of(name) for name in missing)
    return [layer for layer, count in gone.items() if layer is not None and count == wanted[layer]]


def _layers_missing(absent: list[int], layers: int) -> Finding:
    problem = f"layer {absent[0]} is missing altogether" + (f", and {len(absent) - 1} more" if len(absent) > 1 else "")
    remedy = "download the files that hold them, or correct num_hidden_layers in config.json"
    return Finding("error", "missing-layer", f"{problem}: {layers - len(absent)} of {layers} layers were found", remedy)


def _missing(name: str, found: Mapping[str, Place]) -> Finding:
    if name.endswith(_SCALES):
        weight = name.removesuffix(SCALE_SUFFIX)
        file = found[weight][0] if weight in found else None
        problem = "these scales are missing: without them the quantised weight means nothing"
        return Finding("error", "missing-scale", problem, "download the checkpoint's files again", file, name)
    problem = "the model that config.json describes needs this tensor, and no file holds it"
    return Finding("error", "missing-tensor", problem, "download the checkpoint's files again", None, name)


def _unexpected(name: str, file: str, found: Mapping[str, Place]) -> Finding:
    weight = name.removesuffix(SCALE_SUFFIX)
    if name.endswith(_SCALES) and (weight == name or weight not in found or found[weight][1].dtype != "F8_E4M3"):
        problem = "scales of a weight that is not quantised, or not there"
        return Finding("error", "orphan-scale", problem, "put files and config.json of one revision together", file, name)
    if name.endswith(_SCALES):
        problem = "scales of a weight that config.json does not tell to be quantised"
        return Finding("error", "unexpected-scale", problem, "correct quantization_config in config.json", file, name)
    problem = "the model that config.json describes has no such tensor; engines leave it out or refuse it"
    return Finding("warning", "unexpected-tensor", problem, "nothing, if it is a part such as a vision tower", file, name)


def _check(name: str, file: str, tensor: TensorInfo, expected: Expected) -> Iterator[Finding]:
    if tensor.shape != expected.shape:
        problem = f"shape {list(tensor.shape)}, where config.json's sizes give {list(expected.shape)}"
        kind = "scale-shape" if name.endswith(_SCALES) else "shape"
        yield Finding("error", kind, problem, "put files and config.json of one model together", file, name)
    if tensor.dtype not in expected.dtypes:
        problem = f"{tensor.dtype}, where config.json's quantization_config gives {' or '.join(sorted(expected.dtypes))}"
        yield Finding("error", "dtype", problem, "put files and config.json of one revision together", file, name)
