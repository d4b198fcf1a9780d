"""A small byte-level BPE tokenizer with Kimi K2's special tokens and chat format.

The special tokens are spelt and flagged as K2's: the markers of calls and thoughts are not "special", so that decoding with
`skip_special_tokens` keeps them. Their ids are not K2's (163,584 and up), since the vocabulary is small; K2's own `tiktoken.model`
needs code of its own to be read, so there is a `tokenizer.json` instead. The chat template is written from the public description
of the wire form (Kimi-K2 docs/tool_call_guidance.md); it is not Moonshot's file.
"""

# tokenizers annotates lists without their elements.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["MARKERS", "SPECIAL", "TinyTokenizer", "build_tokenizer", "tokenizer_config_json"]

#: Tokens that skip_special_tokens leaves out.
SPECIAL: Final = (
    "[BOS]",
    "[EOS]",
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "[EOT]",
    "<|im_system|>",
    "<|im_middle|>",
    "<|media_begin|>",
    "<|media_content|>",
    "<|media_end|>",
    "<|media_pad|>",
    "[UNK]",
    "[PAD]",
)
#: Tokens that it keeps: those of calls and thoughts.
MARKERS: Final = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<think>",
    "</think>",
)
_MERGED = 256  # tokens learnt beside the 256 bytes
# What prompts of agents mostly consist of; the merges are learnt from it.
_CORPUS: Final = (
    "You are Kimi, an AI assistant created by Moonshot AI.",
    # Often enough to become one token each.
    *["system", "user", "assistant", "tool", "tool_declare"] * 30,
    '[{"type":"function","function":{"name":"get_weather","description":"Tells the weather of a city.",'
    '"parameters":{"type":"object","properties":{"city":{"type":"string",'
    '"description":"Name of the city."},"days":{"type":"integer","minimum":1}},'
    '"required":["city"],"additionalProperties":false}}}]',
    '{"type":"function","function":{"name":"search","description":"Searches for a text.","parameters":{"type":"object",'
    '"properties":{"query":{"type":"string"},"limit":{"type":"number","default":10},"all":{"type":"boolean"},"kind":{"enum":["a","b"]},'
    '"items":{"type":"array","items":{"type":"string"}}},"required":["query"],"strict":true}}}',
    "What is the weather like in Beijing today? Use the tool to check. Please tell me what you found, and when it was.",
    "The answer is in the file that you read. It has an error; let us look at the line and run the tests again.",
)


@dataclass(frozen=True, slots=True)
class TinyTokenizer:
    """A tokenizer, and the pieces of text that its vocabulary has beside what it would cut text into."""

    tokenizer: Tokenizer
    pieces: dict[str, int]
    """Text of a piece → its id."""

    @property
    def special(self) -> dict[str, int]:
        """Text of a special token or marker → its id."""
        ids = self.tokenizer.get_vocab()
        return {text: ids[text] for text in (*SPECIAL, *MARKERS)}

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.tokenizer.get_vocab_size()


def build_tokenizer(pieces: Sequence[str] = ()) -> TinyTokenizer:
    """A tokenizer whose vocabulary holds `pieces` too; equal arguments make equal tokenizers.

    No merge leads to a new piece, so ordinary text never becomes one: only a model can say it. One that the vocabulary has anyway
    keeps the id that it has.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary, merges = _learnt()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelt = {piece: "".join(part for part, _ in byte_level.pre_tokenize_str(piece)) for piece in pieces}
    for spelling in spelt.values():
        vocabulary.setdefault(spelling, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKERS])
    return TinyTokenizer(tokenizer, {piece: vocabulary[spelling] for piece, spelling in spelt.items()})


def tokenizer_config_json(tokenizer: TinyTokenizer, context: int) -> dict[str, Any]:
    """What `tokenizer_config.json` holds, chat template included; `context`: the most tokens that the model takes."""
    described = {
        str(number): {
            "content": text,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": text in SPECIAL,
        }
        for text, number in tokenizer.special.items()
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": described,
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "chat_template": files("kimi_backend.checkpoint.tiny").joinpath("chat_template.jinja").read_text(encoding="utf-8"),
    }


def _learnt() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of the corpus: the 256 bytes, and what they are merged into."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + _MERGED, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]
