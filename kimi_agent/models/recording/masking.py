"""Takes secrets and names of the run out of what a cassette holds.

The same is done to a request before it is compared with a recorded one, so what was masked does not make them differ.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from kimi_agent.models.recording.json_secrets import Mask, mask_json_in
from kimi_agent.redact import MASK, SHORTEST, is_secret_name, redact
from kimi_agent.settings import ModelSettings
from kimi_agent.wire.parts import CallArguments, CallBegin, Finish, ImagePart, ReasoningPart, ResponseInfo, TextPart, WirePart

TextMask: TypeAlias = Callable[[str], str]
ANYTHING = f"«{MASK}»"
"""Stands for a secret in the summary of a request. Only we write it: `***` may stand in any text, and is compared as it is."""
_LIKE_ANYTHING = re.compile(r"«(?=\^*\*\*\*»)")
_DATA_URL = re.compile(r"data:([\w/+.-]*);base64,(.{100,})", re.DOTALL)
_OWN_ID = re.compile(r"\b(call|run)_(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_WORD = re.compile(r"[a-z_]{1,24}|(?:application|text)/[\w.+-]+")  # "disabled", "json_object": too common to be taken out of texts
_SHORTEST_BEGINNING = 4  # characters of a cut value that tell of it


def text_mask(own: TextMask | None, extras: Sequence[str] = (), sign: str = MASK) -> Mask:
    """Masks secrets and `extras` in a text, inside JSON too, and then lets `own`, the user's function, do the rest. Where `sign` is
    `ANYTHING`, a text that happens to hold it gets a `^` into it."""

    def known(text: str) -> str:
        if sign == ANYTHING:
            text = _LIKE_ANYTHING.sub("«^", text)
        return redact(_without(mask_json_in(text, inside), extras, sign), sign)

    inside = Mask(known, sign)
    return inside if own is None else Mask(lambda text: own(known(text)), sign)


def extras_of(settings: ModelSettings) -> list[str]:
    """The values of extra headers and of the extra body, longest first: an endpoint may echo what was sent. Without short ones,
    and without plain words whose name does not say that they are secret."""
    found = {*_leaves(dict(settings.extra_headers), ""), *_leaves(settings.extra_body, "")}
    return sorted(found, key=lambda value: (-len(value), value))


def _leaves(value: Any, name: str) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for k, v in cast(Mapping[Any, Any], value).items() for leaf in _leaves(v, str(k))]
    if isinstance(value, list | tuple):
        return [leaf for v in cast(list[Any], value) for leaf in _leaves(v, name)]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return []
    text = str(value)
    return [] if len(text) < SHORTEST or (_WORD.fullmatch(text) and not is_secret_name(name)) else [text]


def _without(text: str, values: Sequence[str], sign: str) -> str:
    for value in values:
        text = text.replace(value, sign)
    if "…" in text:
        for value in (v for v in values if v[:_SHORTEST_BEGINNING] in text):
            for length in range(len(value) - 1, _SHORTEST_BEGINNING - 1, -1):  # an excerpt may end in the middle of it
                text = text.replace(f"{value[:length]}…", f"{sign}…")
    return text


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
