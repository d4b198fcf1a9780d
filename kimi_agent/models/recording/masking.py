"""Takes secrets and names of the run out of what a cassette holds.

The same is done to a request before it is compared with a recorded one, so what was masked does not make them differ.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias, cast

from kimi_agent.redact import redact
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.parts import CallArguments, CallBegin, Finish, ImagePart, ReasoningPart, ResponseInfo, TextPart, WirePart

TextMask: TypeAlias = Callable[[str], str]
MASK = "***"
_DATA_URL = re.compile(r"data:([\w/+.-]*);base64,(.{100,})", re.DOTALL)
_OWN_ID = re.compile(r"\b(call|run)_(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_SECRET_NAME = re.compile(r"(?i)^(proxy-)?authorization$|api[_-]?key$|^password$|^secret$|^(access_)?token$|^cookie$")
_SHORTEST = 8  # as in kimi_agent.redact: shorter values are words that texts may hold


def text_mask(own: TextMask | None) -> TextMask:
    """Masks secrets in a text, inside JSON texts too, and then lets `own`, the user's function, do the rest."""

    def mask(text: str) -> str:
        text = redact(_inside_json(text))
        return own(text) if own is not None else text

    return mask


def mask_all(value: Any, mask: TextMask) -> Any:
    """`value`, plain JSON data, with every string in it masked, and what stands under a name such as `api_key`."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [mask_all(v, mask) for v in cast(list[Any], value)]
    if isinstance(value, dict):
        return {k: _masked_field(k, v, mask) for k, v in cast(dict[str, Any], value).items()}
    return value


def _masked_field(name: str, value: Any, mask: TextMask) -> Any:
    return MASK if isinstance(value, str) and value and _SECRET_NAME.search(name) else mask_all(value, mask)


def _inside_json(text: str) -> str:
    """Arguments and results are JSON texts: a secret in them may be written with escapes."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    masked = mask_all(value, redact)
    return text if masked == value else json.dumps(masked, ensure_ascii=False)


def mask_parts(parts: Iterable[WirePart], mask: TextMask) -> list[WirePart]:
    """A streamed secret may be split over pieces: a text that holds one is masked as a whole, and stored in one piece."""
    parts = [_masked_names(part, mask) for part in parts]
    for places in _texts(parts):
        whole = "".join(_piece(parts[i]) for i in places)
        if (masked := mask(whole)) != whole:
            for i in places:
                parts[i] = _with_piece(parts[i], masked if i == places[0] else "")
    return parts


def _texts(parts: list[WirePart]) -> list[list[int]]:
    """Where the pieces of each text stand: what was said, what was thought, each call's arguments."""
    begun: dict[int, int] = {}
    found: dict[tuple[str, int, int], list[int]] = {}
    for i, part in enumerate(parts):
        match part:
            case CallBegin(key):
                begun[key] = begun.get(key, 0) + 1  # a key that is used again is another call
            case CallArguments(key):
                found.setdefault(("arguments", key, begun.get(key, 0)), []).append(i)
            case TextPart() | ReasoningPart():
                found.setdefault((type(part).__name__, 0, 0), []).append(i)
            case _:
                pass
    return list(found.values())


def _piece(part: WirePart) -> str:
    if isinstance(part, CallArguments):
        return part.fragment
    return part.text if isinstance(part, TextPart | ReasoningPart) else ""


def _with_piece(part: WirePart, text: str) -> WirePart:
    if isinstance(part, CallArguments):
        return CallArguments(part.key, text)
    return replace(part, text=text) if isinstance(part, TextPart | ReasoningPart) else part


def _masked_names(part: WirePart, mask: TextMask) -> WirePart:
    match part:
        case CallBegin(key, name, raw_id):
            return CallBegin(key, mask(name), _maybe(raw_id, mask))
        case Finish(reason):
            return Finish(_maybe(reason, mask))
        case ResponseInfo(request_id, model):
            return ResponseInfo(_maybe(request_id, mask), _maybe(model, mask))
        case ImagePart(image) if image.url is not None:
            return ImagePart(replace(image, url=mask(image.url)))
        case _:
            return part


def _maybe(text: str | None, mask: TextMask) -> str | None:
    return None if text is None else mask(text)


def without_extras(text: str, settings: ModelSettings) -> str:
    """An endpoint may echo what was sent: the values of extra headers and of the extra body are taken out of its words."""
    values = [*settings.extra_headers.values(), *_leaves(settings.extra_body)]
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    return text


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [leaf for v in cast(Mapping[str, Any], value).values() for leaf in _leaves(v)]
    if isinstance(value, list | tuple):
        return [leaf for v in cast(list[Any], value) for leaf in _leaves(v)]
    return []


def short_data(text: str) -> str:
    """Images and files as the digest of their bytes: a cassette is to be read."""
    return _DATA_URL.sub(lambda m: f"data:{m[1]};sha256={hashlib.sha256(m[2].encode()).hexdigest()[:16]}", text)


class RunNames:
    """Ids that are made anew in each run become `call_1`, `call_2`, `run_1` … by the order in which a request shows them."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts = {"call": 0, "run": 0}

    def of_call(self, call_id: str) -> str:
        """The stable name of a call, whoever made its id."""
        return self._stable(call_id, "call")

    def in_text(self, text: str) -> str:
        """`text` with the ids that we made replaced."""
        return _OWN_ID.sub(lambda m: self._stable(m[0], m[1]), text)

    def _stable(self, found: str, kind: str) -> str:
        if found not in self._known:
            self._counts[kind] += 1
            self._known[found] = f"{kind}_{self._counts[kind]}"
        return self._known[found]
