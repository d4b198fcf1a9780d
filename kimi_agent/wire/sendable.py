"""What a model wrote, or a stranger, as an endpoint can take it. The journal keeps the original."""

import json
import re
from typing import NoReturn

_NAME = re.compile(r"\$?[a-zA-Z0-9_.-]{1,64}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_.-]+")
# The special tokens of Kimi K2 (KVV: tokenizer_config.json) and K3 (smg-project/smg#2103), of which `<|im_end|>` is ChatML's too.
_TOKENS = re.compile(
    r"<(?=\|(?:im_(?:end|user|assistant|system|middle)|tool_calls?_section_(?:begin|end)|tool_call_(?:begin|end|argument_begin)"
    r"|(?:start|end)_header_id|media_(?:begin|content|end|pad)|open|close|sep|end_of_msg)\|>)"
    r"|\[(?=(?:BOS|EOS|EOT|UNK|PAD)\])"
)
_BREAK = "\u200b"


def neutral(text: str) -> str:
    """The text with a zero-width space in whatever a tokenizer could take for a special token: text can never become a turn or a
    call. Engines render templates first and tokenise the whole afterwards, so they cannot tell the two apart.
    """
    return _TOKENS.sub(rf"\g<0>{_BREAK}", text) if "|>" in text or "[" in text else text


def sendable_name(name: str) -> str:
    """A tool's name as endpoints take it: a made-up one may hold anything, and would be refused in every later request."""
    if _NAME.fullmatch(name):
        return name
    return _NOT_IN_A_NAME.sub("_", name)[:64] or "unnamed"


def sendable_arguments(arguments: str) -> str:
    """The arguments if they are one JSON object, byte for byte; else an object that holds them.

    vLLM parses the arguments of past calls before it renders the template, and one that is broken makes the conversation
    unusable for good (vllm#48922, #43995). Inside JSON, special tokens are neutral once their `<` is written as an escape.
    """
    try:
        whole = isinstance(json.loads(arguments, parse_constant=_no_number), dict)
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        arguments = json.dumps({"invalid_arguments": arguments}, ensure_ascii=False) if arguments.strip() else "{}"
    return arguments.replace("<|", "\\u003c|") if "<|" in arguments else arguments


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)
