"""The result of a call, as it is printed, and as it is kept in files."""

import base64
import mimetypes
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from kimi_agent.cli.options import is_terminal
from kimi_agent.errors import UserError
from kimi_agent.messages import File, Image, Part, Text
from kimi_agent.observe.plain import json_line, plain
from kimi_agent.tooling.result import ToolResult


def print_result(parts: Iterable[Part]) -> None:
    """Texts as they are, in a pipe to the letter; what is no text as one line that says what it is."""
    for part in parts:
        text = part.text if isinstance(part, Text) else _about(part) if isinstance(part, Image) else part.as_text
        print(plain(text) if is_terminal(sys.stdout) else text.encode("utf-8", "replace").decode(), flush=True)


def result_json(tool: str, parts: Iterable[Part], result: ToolResult) -> str:
    """All of it, on one line."""
    told = {"tool": tool, "is_error": result.is_error, "content": [_plain_data(p) for p in parts], "value": result.value}
    return json_line(to_jsonable_python(told, fallback=str))


def save_binary(parts: Iterable[Part], directory: Path) -> list[Path]:
    """Writes images and files into a directory, under names of their own; what was written. Raises UserError."""
    if not directory.is_dir():
        raise UserError(f"--save {directory}: there is no such directory")
    saved: list[Path] = []
    for number, part in enumerate((p for p in parts if isinstance(p, Image | File)), 1):
        if isinstance(part, Image) and part.data is None:
            continue
        path = directory / f"{number}-{_file_name(part)}"
        _write(path, part.data or b"")
        saved.append(path)
    return saved


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as e:
        raise UserError(f"{path} cannot be written: {e.strerror or e}") from None


def _file_name(part: Image | File) -> str:
    """Of a stranger's name what is harmless: it never leads out of the directory."""
    given = Path(part.name.replace("\\", "/")).name if isinstance(part, File) else "image"
    stem = re.sub(r"[^\w.-]+", "_", given).strip("._-")[:80] or "file"
    return stem if "." in stem else stem + (mimetypes.guess_extension(part.media_type) or "")


def _about(image: Image) -> str:
    return f"[image, {image.media_type}, {len(image.data)} bytes]" if image.data is not None else f"[image at {image.url}]"


def _plain_data(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(None):
            return {"type": "image", "url": part.url}
        case Image(data):
            return {"type": "image", "media_type": part.media_type, "data": _base64(data)}
        case File(data, name, media_type):
            return {"type": "file", "name": name, "media_type": media_type, "data": _base64(data)}


def _base64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()
