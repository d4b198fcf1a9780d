"""The small files beside the weights: tokenizer, chat template, the model's own code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from .errors import CheckpointError
from .findings import Finding
from .strict_json import LFS_POINTER, read_object, shown

__all__ = ["check_texts"]

TEMPLATE_NAME: Final = "chat_template.jinja"
TOKENIZER_NAME: Final = "tokenizer_config.json"
_TOKENIZERS: Final = ("tiktoken.model", "tokenizer.json")
#: What K2's template must contain, and what goes wrong without it.
_TEMPLATE_PARTS: Final = {
    "add_generation_prompt": "answers are not started, most tool calls fail (vLLM's report on K2, 2025-10-28)",
    "<|im_middle|>": "it is not a template of Kimi K2",
}


def check_texts(folder: Path, config: Mapping[str, object]) -> Iterator[Finding]:
    """What an engine needs beside the weights."""
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield Finding("error", "tokenizer", "neither tiktoken.model nor tokenizer.json is there", "download the tokenizer's files")
    for name in _TOKENIZERS:
        if _is_pointer(folder / name):
            yield Finding("error", "tokenizer", "a pointer of Git LFS, not the file itself", "run `git lfs pull`", name)
    try:
        tokenizer = read_object(folder / TOKENIZER_NAME)
    except CheckpointError as error:
        yield Finding("error", "tokenizer", str(error), "download it again", TOKENIZER_NAME)
        tokenizer = {}
    yield from _check_template(folder, tokenizer)
    yield from _check_code(folder, config, "config.json")
    yield from _check_code(folder, tokenizer, TOKENIZER_NAME)
    if not (folder / "generation_config.json").is_file():
        problem = "the file is missing: engines then stop at config.json's eos_token_id, which K2 does not end its turns with"
        yield Finding("warning", "generation-config", problem, "download it", "generation_config.json")


def _is_pointer(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(LFS_POINTER)) == LFS_POINTER


def _check_template(folder: Path, tokenizer: Mapping[str, object]) -> Iterator[Finding]:
    file = folder / TEMPLATE_NAME
    found = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else _template(tokenizer)
    if found is None:
        problem = "no chat template: engines cannot serve chats or tool calls"
        yield Finding("error", "chat-template", problem, f"download {TEMPLATE_NAME} or {TOKENIZER_NAME} again")
        return
    where = TEMPLATE_NAME if file.is_file() else TOKENIZER_NAME
    for part, meaning in _TEMPLATE_PARTS.items():
        if part not in found:
            problem = f"the chat template does not contain {part}: {meaning}"
            yield Finding("warning", "chat-template", problem, "download the model's newest revision of it", where)


def _template(tokenizer: Mapping[str, object]) -> str | None:
    """The template in tokenizer_config.json: text, or a list of named ones, as transformers writes several."""
    found = tokenizer.get("chat_template")
    if isinstance(found, list):
        named = [cast("Mapping[str, object]", entry) for entry in cast("list[object]", found) if isinstance(entry, dict)]
        found = next((entry.get("template") for entry in named if entry.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _check_code(folder: Path, source: Mapping[str, object], where: str) -> Iterator[Finding]:
    """`auto_map` names Python files that `--trust-remote-code` loads; `repository--module.Class` lies elsewhere."""
    found = source.get("auto_map")
    named = cast("Mapping[str, object]", found).values() if isinstance(found, dict) else ()
    flat = (item for value in named for item in (cast("list[object]", value) if isinstance(value, list) else [value]))
    modules = sorted({item.split(".")[0] for item in flat if isinstance(item, str) and "--" not in item})
    for module in modules:
        if not (folder / f"{module}.py").is_file():
            problem = f"{where} names the Python module {shown(module)} in auto_map, and there is no such file"
            yield Finding("warning", "remote-code", problem, "download it", where)
