"""Kimi K2 in torch: the architecture on one page, to read, to check checkpoints with, and to train on.

    tokens ─ embed_tokens ─▶ x ─▶ [ x += self_attn(norm(x));  x += mlp(norm(x)) ] × 61 ─▶ norm ─ lm_head ─▶ logits

- `Attention` is multi-head latent attention (MLA): keys and values of all heads are unfolded from one small latent per
  token. The cache keeps that latent alone, 576 numbers per token and layer instead of 20,480.
- `MoE` is a mixture of 384 small experts; a router picks 8 of them for each token, and one more is shared by all.
- The first layer's `mlp` is one wide `SwiGLU`.

Modules and parameters are named as in the checkpoints, so that their tensors load as they are. The logits are those of
transformers' DeepseekV3ForCausalLM. One process and no kernels of its own: for serving there are the engines. Sources:
DeepSeek-V2, arXiv 2405.04434 (MLA); DeepSeek-V3, arXiv 2412.19437 (router); YaRN, arXiv 2309.00071.
"""

# torch annotates only a part of its methods.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rotary import rotate, rotations, softmax_scale, wide
from .specs.architecture import Architecture, SpecError

__all__ = ["K2", "LatentCache", "MoE", "Router"]

#: Standard deviation of new weights: `initializer_range` of DeepSeek-V3's config.json.
INITIAL_STD = 0.02


class K2(nn.Module):
    """Kimi K2, or any model of its architecture, with new random weights; `weights.loading.load` reads a checkpoint.

    On `device="meta"` it takes no memory, whatever the size. Router statistics: `register_forward_hook` on a `Router`.

    Args:
        arch: sizes.
        dtype: of the parameters. Norms, softmax and router are computed in fp32 at least.
        device: where the parameters are made.

    Raises:
        SpecError: sizes that contradict each other.
    """

    def __init__(self, arch: Architecture, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        super().__init__()
        check(arch)
        self.arch = arch
        with torch.device(device):
            self.model = Decoder(arch, dtype)
            self.lm_head = Linear(arch.hidden_size, arch.vocab_size, dtype)
        self.tie_weights()

    def tie_weights(self) -> None:
        """Make the head share the embedding's parameter, if the architecture says so; to call again when that is replaced."""
        if self.arch.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens: Tensor, *, cache: LatentCache | None = None, mask: Tensor | None = None) -> Tensor:
        """Logits of each position's next token.

        Args:
            tokens: `[batch, length]`, int64.
            cache: the tokens before these; grows by them.
            mask: `[batch, cached + length]`, bool: False hides a token from the others, for rows padded on either side.
                The logits of hidden positions mean nothing.

        Returns:
            `[batch, length, vocab]`, fp32 (fp64 for a model in fp64).
        """
        hidden: Tensor = self.model(tokens, cache, mask)
        logits: Tensor = self.lm_head(hidden)
        return logits.to(wide(logits.dtype))

    @torch.no_grad()
    def generate(self, tokens: Tensor, limit: int, *, stop: Collection[int] = (), mask: Tensor | None = None) -> Tensor:
        """The likeliest next tokens, one after the other: `[batch, at most limit]`.

        Args:
            tokens: prompts, `[batch, length]`; shorter ones are padded on the left and hidden there by `mask`.
            limit: how many tokens at most.
            stop: token ids that end a row. It goes on with its stop token until all rows have ended.
            mask: `[batch, length]`, bool, as for `forward`.

        Raises:
            ValueError: a row is padded on the right, where its next token would go.
        """
        if mask is not None and not bool(mask[:, -1].all()):
            raise ValueError("generate needs rows that are padded on the left: mask hides the last token of one")
        cache, found = LatentCache(), tokens[:, :0]
        stops = torch.tensor(sorted(stop), dtype=tokens.dtype, device=tokens.device)
        for _ in range(limit):
            chosen = self(tokens, cache=cache, mask=mask)[:, -1:].argmax(-1)
            if found.shape[1]:
                chosen = torch.where(torch.isin(found[:, -1:], stops), found[:, -1:], chosen)
            tokens, found = chosen, torch.cat((found, chosen), 1)
            mask = None if mask is None else F.pad(mask, (0, 1), value=True)
            if bool(torch.isin(chosen, stops).all()):
                break
        return found


class LatentCache:
    """What MLA remembers of earlier tokens: per layer `[batch, length, kv_lora_rank + qk_rope_head_dim]`."""

    def __init__(self) -> None:
        self.layers: dict[int, Tensor] = {}

    @property
    def length(self) -> int:
        """Tokens that every layer has seen."""
        return min((latent.shape[1] for latent in self.layers.values()), default=0)

    def extend(self, layer: int, latent: Tensor) -> Tensor:
        """Append the new tokens' latents `[batch, new, width]` of one layer; all of that layer's, old and new."""
        old = self.layers.get(layer)
        self.layers[layer] = latent if old is None else torch.cat((old, latent), 1)
        return self.layers[layer]


class Decoder(nn.Module):
    """Embedding, layers and the last norm. Tokens `[batch, length]` → `[batch, length, hidden]`."""

    def __init__(self, arch: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.arch = arch
        self.embed_tokens = nn.Embedding(arch.vocab_size, arch.hidden_size, dtype=dtype)
        initialise(self.embed_tokens.weight)
        self.layers = nn.ModuleList(Layer(arch, index, dtype) for index in range(arch.num_hidden_layers))
        self.norm = nn.RMSNorm(arch.hidden_size, arch.rms_norm_eps, dtype=dtype)

    def forward(self, tokens: Tensor, cache: LatentCache | None, mask: Tensor | None) -> Tensor:
        x: Tensor = self.embed_tokens(tokens)
        past = cache.length if cache else 0
        positions = torch.arange(past + tokens.shape[1], device=tokens.device)
        visible = positions <= positions[past:, None]
        if mask is not None:
            visible = visible & mask[:, None, None, :].bool()  # a token that sees none gets zeros from torch, not NaN
        turns = rotations(self.arch, positions[past:], wide(x.dtype))
        for layer in self.layers:
            x = layer(x, turns, visible, cache)
        return self.norm(x)


class Layer(nn.Module):
    """Attention, then an MLP, each added to what passes by. `[batch, length, hidden]` → the same."""

    def __init__(self, arch: Architecture, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.self_attn = Attention(arch, index, dtype)
        dense = index not in arch.moe_layers
        self.mlp = SwiGLU(arch.hidden_size, arch.intermediate_size, dtype) if dense else MoE(arch, dtype)
        self.input_layernorm = nn.RMSNorm(arch.hidden_size, arch.rms_norm_eps, dtype=dtype)
        self.post_attention_layernorm = nn.RMSNorm(arch.hidden_size, arch.rms_norm_eps, dtype=dtype)

    def forward(self, x: Tensor, turns: Tensor, visible: Tensor, cache: LatentCache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turns, visible, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Attention(nn.Module):
    """Multi-head latent attention. `[batch, length, hidden]` → the same.

    A head's query and key have two parts: one without positions (nope), and one that is turned by its position (rope).
    Keys and values come from `latent` of kv_lora_rank numbers per token; the rope part of the key is one for all heads.
    """

    def __init__(self, arch: Architecture, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.arch, self.index, self.scale = arch, index, softmax_scale(arch)
        heads, hidden = arch.num_attention_heads, arch.hidden_size
        self.q_a_proj = Linear(hidden, arch.q_lora_rank, dtype)
        # transformers leaves these two norms at 1e-6, whatever rms_norm_eps says; SGLang 0.5.23 and vLLM 0.33 do not.
        self.q_a_layernorm = nn.RMSNorm(arch.q_lora_rank, 1e-6, dtype=dtype)
        self.q_b_proj = Linear(arch.q_lora_rank, heads * arch.qk_head_dim, dtype)
        self.kv_a_proj_with_mqa = Linear(hidden, arch.latent_dim, dtype)
        self.kv_a_layernorm = nn.RMSNorm(arch.kv_lora_rank, 1e-6, dtype=dtype)
        self.kv_b_proj = Linear(arch.kv_lora_rank, heads * (arch.qk_nope_head_dim + arch.v_head_dim), dtype)
        self.o_proj = Linear(heads * arch.v_head_dim, hidden, dtype)

    def forward(self, x: Tensor, turns: Tensor, visible: Tensor, cache: LatentCache | None) -> Tensor:
        arch = self.arch
        q: Tensor = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)))
        q = q.unflatten(-1, (arch.num_attention_heads, -1)).transpose(1, 2)  # [batch, heads, length, nope + rope]
        q_nope, q_rope = q.split((arch.qk_nope_head_dim, arch.qk_rope_head_dim), -1)
        q_rope = rotate(q_rope, turns)

        compressed: Tensor = self.kv_a_proj_with_mqa(x)
        latent, k_rope = compressed.split((arch.kv_lora_rank, arch.qk_rope_head_dim), -1)
        latent, k_rope = self.kv_a_layernorm(latent), rotate(k_rope, turns)

        if cache is None:
            heads = self.unfolded(q_nope, q_rope, latent, k_rope, visible)
        else:
            heads = self.absorbed(q_nope, q_rope, cache.extend(self.index, torch.cat((latent, k_rope), -1)), visible)
        return self.o_proj(heads.transpose(1, 2).flatten(2))

    def unfolded(self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, visible: Tensor) -> Tensor:
        """Attention over keys and values of each head, `[batch, heads, length, v_head_dim]`: best for many tokens at once."""
        arch = self.arch
        kv: Tensor = self.kv_b_proj(latent)
        kv = kv.unflatten(-1, (arch.num_attention_heads, -1)).transpose(1, 2)  # [batch, heads, length, nope + v]
        k_nope, v = kv.split((arch.qk_nope_head_dim, arch.v_head_dim), -1)
        k = torch.cat((k_nope, k_rope[:, None].expand(-1, arch.num_attention_heads, -1, -1)), -1)
        return F.scaled_dot_product_attention(torch.cat((q_nope, q_rope), -1), k, v, attn_mask=visible, scale=self.scale)

    def absorbed(self, q_nope: Tensor, q_rope: Tensor, cached: Tensor, visible: Tensor) -> Tensor:
        """The same, straight from the cache `[batch, cached + length, latent_dim]`, which is never unfolded.

        q·(W_UK c) = (q W_UK)·c: the queries take the keys' matrix in, and the values' comes after the sum. Each head
        then attends over one and the same key per token, so a step of decoding reads 576 numbers per token.
        """
        arch = self.arch
        kv_b = self.kv_b_proj.weight.unflatten(0, (arch.num_attention_heads, -1))  # [heads, nope + v, kv_lora_rank]
        up_k, up_v = kv_b.split((arch.qk_nope_head_dim, arch.v_head_dim), 1)
        q = torch.cat((q_nope @ up_k, q_rope), -1)
        k = cached[:, None].expand(-1, arch.num_attention_heads, -1, -1)
        v = k[..., : arch.kv_lora_rank]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=self.scale) @ up_v.transpose(1, 2)


class MoE(nn.Module):
    """Mixture of experts. `[batch, length, hidden]` → the same. No token is dropped; an expert's load has no limit."""

    def __init__(self, arch: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        inner = arch.moe_intermediate_size
        self.gate = Router(arch, dtype)
        self.experts = nn.ModuleList(SwiGLU(arch.hidden_size, inner, dtype) for _ in range(arch.n_routed_experts))
        shared = arch.n_shared_experts
        self.shared_experts = SwiGLU(arch.hidden_size, inner * shared, dtype) if shared else None

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        weights, chosen = self.gate(flat)
        routed = torch.zeros_like(flat, dtype=weights.dtype)
        for expert in chosen.unique().tolist():
            token, rank = torch.where(chosen == expert)
            routed.index_add_(0, token, self.experts[expert](flat[token]) * weights[token, rank, None])
        out = routed.to(x.dtype).view_as(x)
        return out if self.shared_experts is None else out + self.shared_experts(x)


class SwiGLU(nn.Module):
    """Gated MLP: `[..., hidden]` → the same. One expert, the shared expert, or the whole MLP of a dense layer."""

    def __init__(self, hidden: int, inner: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden, inner, dtype)
        self.up_proj = Linear(hidden, inner, dtype)
        self.down_proj = Linear(inner, hidden, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Linear(nn.Linear):
    """`x @ weight.T`. K2 has no biases."""

    def __init__(self, inputs: int, outputs: int, dtype: torch.dtype) -> None:
        super().__init__(inputs, outputs, bias=False, dtype=dtype)

    def reset_parameters(self) -> None:
        initialise(self.weight)


class Router(nn.Module):
    """Which experts a token goes to, and their weights: `[tokens, hidden]` → two of `[tokens, num_experts_per_tok]`.

    The scores are independent sigmoids. The bias balances the experts' load and only helps to choose ("noaux_tc"): it is no
    part of the weights, so it has no gradient; whoever trains moves it against the load. With groups, the experts of all but
    the best topk_group groups are out of question; K2 has one group.
    """

    def __init__(self, arch: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.arch = arch
        self.weight = nn.Parameter(torch.empty(arch.n_routed_experts, arch.hidden_size, dtype=dtype))
        initialise(self.weight)
        # fp32 in the checkpoints too: bf16 would round away its small steps.
        self.e_score_correction_bias = nn.Parameter(torch.zeros(arch.n_routed_experts, dtype=wide(dtype)), requires_grad=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        arch, dtype = self.arch, wide(x.dtype)
        scores = F.linear(x.to(dtype), self.weight.to(dtype)).sigmoid()
        preference = scores + self.e_score_correction_bias
        if arch.n_group > 1:
            groups = preference.unflatten(1, (arch.n_group, -1))
            best = groups.topk(2).values.sum(-1).topk(arch.topk_group).indices
            allowed = torch.zeros_like(groups[..., 0], dtype=torch.bool).scatter(1, best, True)
            preference = groups.masked_fill(~allowed[..., None], -math.inf).flatten(1)
        chosen = preference.topk(arch.num_experts_per_tok).indices
        weights = scores.gather(1, chosen)
        if arch.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * arch.routed_scaling_factor, chosen


def initialise(weight: Tensor) -> None:
    """New random weights, in place."""
    # On meta there is nothing to fill, and 70,000 times doing so takes torch 20 seconds.
    if not weight.is_meta:
        nn.init.normal_(weight, std=INITIAL_STD)


def check(arch: Architecture) -> None:
    """Refuse sizes that contradict each other.

    Raises:
        SpecError: they do; the text says which.
    """
    experts, groups, best = arch.n_routed_experts, arch.n_group, arch.topk_group
    if arch.qk_rope_head_dim % 2:
        raise SpecError(f"qk_rope_head_dim is {arch.qk_rope_head_dim}: rotary positions turn pairs, so it must be even")
    if experts % groups or best > groups or (groups > 1 and experts < 2 * groups):
        raise SpecError(
            f"{experts} experts cannot be in {groups} groups of which {best} are chosen: groups are equal, of two or more"
        )
    if arch.num_experts_per_tok > (reachable := experts // groups * best):
        raise SpecError(f"num_experts_per_tok is {arch.num_experts_per_tok}, but {reachable} experts can be chosen")
