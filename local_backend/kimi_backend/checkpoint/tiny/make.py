"""Complete checkpoints of Kimi K2's architecture, small enough for a laptop: random ones, and ones that say a script."""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from ...specs import Architecture
from .config import ModelType, Quantization, Sizes, config_json, generation_config_json, tiny_architecture
from .errors import TinyError
from .names import Shape, shapes
from .script import END, HEADER, Turn, contexts, cut, wire_text
from .tokenizer import MARKERS, TinyTokenizer, build_tokenizer, tokenizer_config_json
from .write import new_folder, write_json, write_shards

if TYPE_CHECKING:
    from torch import Tensor

    from .wiring import Row

__all__ = ["make_scripted", "make_tiny"]

_RANDOM: Final = 0.02  # standard deviation of a random checkpoint's weights, as initializer_range says
_NOISE: Final = 0.001  # of a scripted one's weights beside the script
_TRIES: Final = 20


def make_tiny(
    folder: Path,
    *,
    sizes: Sizes | None = None,
    seed: int = 0,
    quantization: Quantization = "bf16",
    shards: int = 3,
    model_type: ModelType = "kimi_k2",
) -> None:
    """Writes a checkpoint with random weights; equal arguments write equal bytes.

    Ids of special tokens are not K2's, since the vocabulary is small; their texts and flags are.

    Args:
        folder: is made; it must be new or empty. Nothing is left of it when something goes wrong.
        sizes: fields of `config.json` that shall differ from the default (hidden 256, 3 layers, 8 experts of which 2 are used, …).
        seed: of the weights.
        quantization: `block-fp8` writes the linear layers as K2's own checkpoints have them. Engines that share it out over ranks
            want 128 columns of each expert on a rank: ask for a larger moe_intermediate_size then.
        shards: number of safetensors files.
        model_type: `deepseek_v3` for libraries that do not know `kimi_k2`; nothing else differs.

    Raises:
        TinyError: impossible sizes or arguments, or a folder that is there already or cannot be written.
    """
    _check(quantization, model_type)
    tokenizer = build_tokenizer()
    arch = tiny_architecture(tokenizer.size, {"vocab_size": _padded(tokenizer.size), **(sizes or {})})
    tensors = _random(shapes(arch), seed, _RANDOM)
    _write(folder, arch, tokenizer, tensors, shards, model_type, quantization)


def make_scripted(
    folder: Path,
    turns: Iterable[Turn],
    *,
    sizes: Sizes | None = None,
    seed: int = 0,
    quantization: Quantization = "bf16",
    shards: int = 3,
    model_type: ModelType = "kimi_k2",
) -> None:
    """Writes a checkpoint whose greedy decoding says the script: the assistant's message `k` of a conversation is `turns[k]`.

    After the last turn it says the last one again. What users and tools say does not matter. A prompt that is not made by the chat
    template, or that already begins the assistant's message, is answered by `<|im_end|>` alone. The logits of the script lead by so
    much that sampling at temperature 1 says it too. See `wiring` for how the architecture does it.

    Args:
        folder: as for `make_tiny`.
        turns: K2's text as it stands, `Call`s, or a sequence of text and calls; at most 16, with block-fp8 8.
        sizes: as for `make_tiny`; the script needs hidden_size 1,024 and three layers at least.
        seed: of the noise beside the script.
        quantization: as for `make_tiny`.
        shards: as for `make_tiny`.
        model_type: as for `make_tiny`.

    Raises:
        TinyError: as for `make_tiny`; or a script that cannot be said.
    """
    _check(quantization, model_type)
    said = [cut(text) for text in wire_text(turns)]
    _check_turns(len(said), quantization)
    control = {END, *MARKERS}
    tokenizer = build_tokenizer(list(dict.fromkeys(p for pieces in said for p in pieces if p not in control)))
    rows = _rows(said, tokenizer)
    arch = _scripted_architecture(tokenizer, rows, sizes)
    tensors = _scripted_weights(arch, tokenizer, rows, len(said), seed)
    _write(folder, arch, tokenizer, tensors, shards, model_type, quantization)


def _check(quantization: str, model_type: str) -> None:
    for name, found, known in (
        ("quantization", quantization, get_args(Quantization)),
        ("model_type", model_type, get_args(ModelType)),
    ):
        if found not in known:
            raise TinyError(f"{name} {found!r} is not known; use {' or '.join(known)}")


def _check_turns(turns: int, quantization: Quantization) -> None:
    from .wiring import MOST_TURNS, MOST_TURNS_FP8

    most = MOST_TURNS if quantization == "bf16" else MOST_TURNS_FP8
    if turns > most:
        raise TinyError(f"{turns} turns are too many; a script has at most {most} in {quantization}")


def _padded(tokens: int) -> int:
    """Vocabularies are a multiple of 64, as engines that split one over ranks want it."""
    return -(-tokens // 64) * 64


def _rows(said: Sequence[Sequence[str]], tokenizer: TinyTokenizer) -> list[Row]:
    from .wiring import Row

    ids = tokenizer.special | tokenizer.pieces
    header = tokenizer.tokenizer.encode("".join(HEADER), add_special_tokens=False).ids
    if len(header) != len(HEADER):
        raise TinyError(f"the tokenizer cuts the header of an answer into {len(header)} tokens, not {len(HEADER)}")
    ids = dict(zip(HEADER, header, strict=True)) | ids
    found: dict[tuple[int, tuple[int, ...]], Row] = {}
    for turn, pieces in enumerate(said):
        for context, piece in contexts(pieces):
            row = Row(turn, tuple(ids[p] for p in context), ids[piece])
            found[row.turn, row.context] = row
    return list(found.values())


def _scripted_architecture(tokenizer: TinyTokenizer, rows: Sequence[Row], sizes: Sizes | None) -> Architecture:
    from .places import HIDDEN
    from .wiring import expert_loads

    asked = {"vocab_size": _padded(tokenizer.size), "hidden_size": HIDDEN, **(sizes or {})}
    arch = tiny_architecture(tokenizer.size, asked)
    _, most = expert_loads(rows, arch.n_routed_experts)
    if most <= arch.moe_intermediate_size:
        return arch
    if "moe_intermediate_size" in asked:
        raise TinyError(f"the script needs a moe_intermediate_size of {most}, not {arch.moe_intermediate_size}; leave it out")
    return arch.model_copy(update={"moe_intermediate_size": -(-most // 128) * 128})


def _scripted_weights(
    arch: Architecture, tokenizer: TinyTokenizer, rows: Sequence[Row], turns: int, seed: int
) -> dict[str, Tensor]:
    from .wiring import Wiring, wire

    tensors = _random(shapes(arch), seed, _NOISE)
    special = tokenizer.special
    wiring = Wiring(rows, turns, special["<|im_system|>"], special["<|im_assistant|>"], special[END])
    wire(arch, tensors, wiring, _codes(arch.vocab_size, seed))
    return tensors


def _codes(tokens: int, seed: int) -> Tensor:
    """A code of 1 and -1 for each token, `[tokens, CODE]`; no two are nearly alike.

    Raises:
        TinyError: there are too many tokens for that.
    """
    import torch

    from .places import ALIKE, CODE

    generator = torch.Generator().manual_seed(seed + 1)
    for _ in range(_TRIES):
        codes = 2.0 * torch.randint(0, 2, (tokens, CODE), generator=generator) - 1
        if float((codes @ codes.T).fill_diagonal_(0).max()) <= ALIKE * CODE:
            return codes
    raise TinyError(f"the script needs {tokens} different tokens, too many to tell apart; make it shorter")


def _random(wanted: dict[str, Shape], seed: int, deviation: float) -> dict[str, Tensor]:
    """fp32 weights about 0, of norms about 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.empty(shape).normal_(float("norm" in name), deviation, generator=generator) for name, shape in wanted.items()
    }


def _write(
    folder: Path,
    arch: Architecture,
    tokenizer: TinyTokenizer,
    tensors: dict[str, Tensor],
    shards: int,
    model_type: ModelType,
    quantization: Quantization,
) -> None:
    stored = _stored(tensors, quantization)
    with new_folder(folder) as made:
        write_shards(made, stored, shards)
        tokenizer.tokenizer.save(str(made / "tokenizer.json"))
        write_json(made / "tokenizer_config.json", tokenizer_config_json(tokenizer, arch.max_position_embeddings))
        write_json(made / "generation_config.json", generation_config_json(tokenizer.special))
        write_json(made / "config.json", config_json(arch, tokenizer.special, model_type, quantization))


def _stored(tensors: dict[str, Tensor], quantization: Quantization) -> dict[str, Tensor]:
    """As they are in the file: bf16; the router's bias fp32; with block-fp8 the linear layers fp8, each with its scales."""
    import torch

    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("e_score_correction_bias"):
            found[name] = tensor
        elif quantization == "block-fp8" and name.endswith(("_proj.weight", "_with_mqa.weight")):
            from ...weights.block_fp8 import quantise

            found[name], found[f"{name}_scale_inv"] = quantise(tensor)
        else:
            found[name] = tensor.to(torch.bfloat16)
    return found
