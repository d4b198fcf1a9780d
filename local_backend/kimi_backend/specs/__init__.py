"""Model specs: parameters by component, bytes by format, KV cache per token, from a checkpoint's `config.json`."""

from .architecture import Architecture, RopeScaling, SpecError, read_architecture, read_config
from .formats import BLOCK, GROUP, Format, Formats, matrix_bytes, read_formats
from .matrices import COMPONENTS, Component, Matrix, layer_matrices, matrices, outer_matrices
from .model import ModelSpec, from_config, read_model
from .shipped import SHIPPED, find_model, repository_of, shipped_model

__all__ = [
    "BLOCK",
    "COMPONENTS",
    "GROUP",
    "SHIPPED",
    "Architecture",
    "Component",
    "Format",
    "Formats",
    "Matrix",
    "ModelSpec",
    "RopeScaling",
    "SpecError",
    "find_model",
    "from_config",
    "layer_matrices",
    "matrices",
    "matrix_bytes",
    "outer_matrices",
    "read_architecture",
    "read_config",
    "read_formats",
    "read_model",
    "repository_of",
    "shipped_model",
]
