"""A Llama decoder for inference on CPUs: weights in the layout of matrix kernels, and few operators for each token.

It takes the place of Transformers' module in a loaded model, so `generate`, the batcher and evaluation run it alike.
What it saves is in benchmarks/results/decode.md: at one token, a layer of Transformers' module is some fifty operators,
and some of them are slow on CPUs, such as attention in bfloat16.

Letters: B rows · T new tokens · C columns of the cache · H query heads · K key-value heads · D head size.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, LlamaModel, MistralModel, Qwen2Model
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutputWithPast

from ..io.system import return_free_memory
from ..modeling.outputs import CACHE
from .packed_linear import is_packable, pack

LLAMA_LIKE = (LlamaModel, MistralModel, Qwen2Model)
"""Classes whose layers compute the same as Llama's: Qwen2 adds biases to queries, keys and values."""


def can_pack_decoder(decoder: Any) -> bool:
    """Whether a `PackedDecoder` can take the place of a decoder."""
    if type(decoder) not in LLAMA_LIKE or decoder.config.hidden_act != "silu":
        return False
    caches_all = all(type(layer) is DynamicLayer for layer in DynamicCache(config=decoder.config).layers)
    return caches_all and all(is_packable(linear) for layer in decoder.layers for linear in _linears(layer))


def _linears(layer: Any) -> tuple[Any, ...]:
    """Queries, keys, values, output, gate, up and down of a layer."""
    attention, mlp = layer.self_attn, layer.mlp
    projections = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
    return *projections, mlp.gate_proj, mlp.up_proj, mlp.down_proj


class PackedDecoder(nn.Module):
    """Computes what a Llama-like decoder does. Attention is computed in float32, and so is what the cache holds.

    Args:
        decoder: One of `LLAMA_LIKE`, in eval mode. Its layers are taken apart, so that no weight is in memory twice.
    """

    _is_stateful = False

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.config = decoder.config
        self.embed_tokens, self.rotary_emb, self.norm = decoder.embed_tokens, decoder.rotary_emb, _Norm(decoder.norm)
        self.layers = nn.ModuleList()
        for index, layer in enumerate(decoder.layers):
            self.layers.append(_Layer(layer, index))
            decoder.layers[index] = nn.Identity()
            return_free_memory()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings of tokens."""
        return self.embed_tokens

    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Compute the hidden states of new tokens: (B, T, hidden) -> the same.

        Args:
            inputs_embeds: (B, T, hidden).
            attention_mask: (B, C), 0 for padding.
            position_ids: (B, T).
            **kwargs: The key-value cache. What `generate` passes beside it is left out.
        """
        cache = kwargs.get(CACHE)
        if cache is None:
            cache = DynamicCache(config=self.config)
        length, before = inputs_embeds.shape[1], int(cache.get_seq_length())
        if position_ids is None:
            position_ids = torch.arange(before, before + length)[None]
        rotation = self._rotation(position_ids)
        mask, is_causal = _attention_bias(attention_mask, length, before)
        states = inputs_embeds
        for layer in self.layers:
            states = layer.forward(states, rotation, cache, mask, is_causal)
        outputs: Any = {"last_hidden_state": self.norm.forward(states), CACHE: cache}
        return BaseModelOutputWithPast(**outputs)

    def _rotation(self, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines, and sines with the sign of each half: (B, T, H + K, 2, D / 2). Those of queries scale attention."""
        cos, sin = self.rotary_emb(torch.empty(0), position_ids)
        halves = sin.chunk(2, -1)
        first: Any = self.layers[0]
        rotation = torch.stack((cos, torch.cat((-halves[0], halves[1]), -1)))
        cos, sin = (rotation[:, :, :, None] * first.head_scales).unflatten(-1, (2, -1))
        return cos, sin


class _Norm(nn.Module):
    """Computes Llama's RMS norm in half its operators: x·w·√n / √(‖x‖² + n·eps), in float32."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        size = norm.weight.numel()
        self.weight = norm.weight.detach().float() * size**0.5
        self.root = torch.tensor([(size * norm.variance_epsilon) ** 0.5])

    def forward(self, states: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(states, dim=-1, keepdim=True, dtype=torch.float32)
        return (states * self.weight).div_(torch.hypot(norms, self.root)).to(states.dtype)


class _Layer(nn.Module):
    """One layer of the decoder; `head_scales` (H + K, 1) scale queries for attention and leave keys as they are."""

    def __init__(self, layer: Any, index: int) -> None:
        super().__init__()
        query, key, value, output, gate, up, down = _linears(layer)
        self.index, self.head_dim = index, int(layer.self_attn.head_dim)
        self.heads, keys = (linear.out_features // self.head_dim for linear in (query, key))
        self.rotated_heads = self.heads + keys
        self.head_scales = torch.tensor([layer.self_attn.scaling] * self.heads + [1.0] * keys)[:, None]
        self.attention_norm, self.mlp_norm = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self.qkv, self.output, self.gate_up, self.down = (
            pack(query, key, value),
            pack(output),
            pack(gate, up),
            pack(down),
        )

    def forward(
        self, states: Tensor, rotation: tuple[Tensor, Tensor], cache: Any, mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        # Modules are called by `forward`, because what `__call__` does besides takes as long as a small operator.
        batch, length, _ = states.shape
        heads = self.qkv.forward(self.attention_norm.forward(states)).float().view(batch, length, -1, self.head_dim)
        rotated = _rotate(heads[:, :, : self.rotated_heads], rotation).transpose(1, 2)
        values = heads[:, :, self.rotated_heads :].transpose(1, 2)
        queries, keys = rotated[:, : self.heads], rotated[:, self.heads :]
        keys, values = cache.update(keys, values, self.index)
        if length == 1:
            attended = _attend_once(queries, keys, values, mask)
        else:
            attended = functional.scaled_dot_product_attention(
                queries, keys, values, mask, is_causal=is_causal, scale=1.0, enable_gqa=True
            ).transpose(1, 2)
        states = self.output.forward(attended.reshape(batch, length, -1).to(states.dtype), states)
        gate, up = self.gate_up.forward(self.mlp_norm.forward(states)).chunk(2, -1)
        return self.down.forward(functional.silu(gate).mul_(up), states)


def _rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate heads (B, T, H + K, D) to their positions: x·cos + (-x₂, x₁)·sin for the halves x₁ and x₂ of x."""
    cos, sin = rotation
    # The sign is that of the place that a half moves to, so it is in the sines.
    halves = heads.unflatten(-1, (2, -1))
    return torch.addcmul(halves * cos, halves.flip(-2), sin).flatten(-2)


def _attend_once(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend from one token of each row: (B, H, 1, D), (B, K, C, D) twice, (B, 1, C) -> (B·K, H / K, D).

    Two small products: torch's attention takes three times as long for one token, and in bfloat16 twenty times.
    """
    batch, key_heads = keys.shape[:2]
    queries = queries.reshape(batch * key_heads, -1, keys.shape[-1])
    keys, values = keys.flatten(0, 1).transpose(1, 2), values.flatten(0, 1)
    scores = torch.bmm(queries, keys)
    if mask is not None:
        scores += mask.repeat_interleave(key_heads, 0)
    return torch.bmm(scores.softmax(-1), values)


def _attention_bias(given: Tensor | None, length: int, before: int) -> tuple[Tensor | None, bool]:
    """Return what is added to scores of T tokens after `before` columns, and whether attention is plainly causal.

    The bias is (B, 1, C) for one token, (B, 1, T, C) for several, and None where nothing is masked.
    """
    if given is None and (length == 1 or not before):
        return None, length > 1
    # One token sees what its row may: rows of a batch write different columns, of which the last may be another's.
    seen: Any = None if given is None else given[:, None, : before + length].bool()
    if length > 1:
        columns = torch.arange(before + length)
        own = columns[before:, None]
        causal = (columns <= own)[None]
        # Padding sees itself: a softmax over nothing is NaN, and NaN in a cache spreads through masks.
        seen = causal if seen is None else (seen & causal) | (columns == own)
    bias = torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    return (bias if length == 1 else bias[:, None]), False
