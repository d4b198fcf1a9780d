"""Images by path: what a message names, and what a file really is."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kimi_agent.errors import UserError
from kimi_agent.messages import Image
from kimi_agent.tooling.media import image_type

MAX_BYTES = 20_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
# A word may hold spaces behind backslashes, as shells and terminals write a dragged file.
_WORD = re.compile(r"""(?<!\S)(?:"(?P<double>[^"\n]+)"|'(?P<single>[^'\n]+)'|(?P<bare>(?:\\.|\S)+))""")
_BARE = re.compile(r"(?:\\.|\S)+")
_ENDS = ".,;:!?)]}\"'"


@dataclass(frozen=True, slots=True)
class Found:
    """An image file that a message names."""

    path: Path
    image: Image


def read_image(name: str) -> Found:
    """The image at a path as a user writes it. Raises UserError for what is none, or too large."""
    path = _path(name.strip().strip("\"'"))
    try:
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path} has {size / 1e6:.0f} MB; an image may have {MAX_BYTES // 10**6}")
        data = path.read_bytes()
    except (OSError, ValueError) as e:
        raise UserError(f"{name} cannot be read: {e}") from None
    media_type = image_type(data)
    if media_type is None:
        raise UserError(f"{path} is no image of a kind that models take (PNG, JPEG, GIF, WebP)")
    return Found(path, Image(data, media_type))


def images_in(text: str) -> tuple[list[Found], list[str]]:
    """The image files that a message names, each once: quoted or not, with escaped spaces, `~`, as `file:` URLs, or as the whole;
    and what is wrong with files that are named as images and are none, or are too large.

    Only names that end as images do are looked at.
    """
    found: dict[Path, Found] = {}
    problems: list[str] = []
    for name in _names(text):
        try:
            each = read_image(name)
            found.setdefault(each.path.resolve(), each)
        except UserError as e:
            problems.append(str(e))
    return list(found.values()), problems


def _names(text: str) -> list[str]:
    if names_image(whole := text.strip()):
        return [whole]
    names: list[str] = []
    at = 0
    while word := _WORD.search(text, at):
        quoted = word["double"] or word["single"]
        at = word.end()
        if quoted and names_image(quoted):
            names.append(quoted)
            continue
        if quoted:  # an apostrophe, perhaps: the words inside are looked at one by one
            bare = _BARE.match(text, word.start())
            at = bare.end() if bare else at
        spelled = text[word.start() : at]
        if name := next((n for n in (spelled, spelled.rstrip(_ENDS), spelled.strip(_ENDS + "([{")) if names_image(n)), None):
            names.append(name)
    return names


def names_image(name: str) -> bool:
    """Whether a text is the name of a file that is named as images are."""
    try:
        path = _path(name)
        return path.suffix.lower() in SUFFIXES and path.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _path(name: str) -> Path:
    if name.startswith("file://"):
        return Path(unquote(urlsplit(name).path))
    as_written = Path(name)
    if os.name != "nt" and "\\" in name and not as_written.is_file():
        return _home(re.sub(r"\\(.)", r"\1", name))
    return _home(name)


def _home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody who is not known
        return Path(name)
