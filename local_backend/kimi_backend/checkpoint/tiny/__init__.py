"""Tiny checkpoints of Kimi K2's architecture, made here and never shipped: for tests of engines, converters and agents.

    from kimi_backend.checkpoint.tiny import Call, make_scripted

    make_scripted(Path("k2-scripted"), [Call("get_weather", {"city": "Tokyo"}), "It is sunny in Tokyo."])

and any engine that serves K2 serves it: its first answer is a real tool call in K2's own tokens, its second one is the text.
"""

from __future__ import annotations

from .errors import TinyError
from .make import make_scripted, make_tiny
from .script import Call, Turn
from .tokenizer import TinyTokenizer, build_tokenizer

__all__ = ["Call", "TinyError", "TinyTokenizer", "Turn", "build_tokenizer", "make_scripted", "make_tiny"]
