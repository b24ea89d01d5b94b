"""Softmax attention over heads: one function, computed in the way that is fast where it runs."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN_UP_TO = 256
"""On a CPU, products and a softmax beat the fused kernel in half precision up to this many queries,"""
PLAIN_PER_FEATURE = 12
"""or up to this many for every feature of a head, if that is more."""


class Band(NamedTuple):
    """How many tokens are seen before and after a token."""

    before: int
    after: int

    def hides(self, distance: Tensor) -> Tensor:
        """Return whether a key is outside, from its place less the query's."""
        return (distance < -self.before) | (distance > self.after)


def split_heads(data: Tensor, num_heads: int) -> Tensor:
    """Reshape [B, T, H * K] to [B, H, T, K]."""
    return data.view(*data.shape[:2], num_heads, -1).transpose(1, 2)


def merge_heads(heads: Tensor) -> Tensor:
    """Reshape [B, H, T, K] to [B, T, H * K]."""
    return heads.transpose(1, 2).flatten(2)


def repeat_heads(heads: Tensor, num_heads: int) -> Tensor:
    """Give every query head its key or value head: [B, G, S, K] to [B, H, S, K], in order."""
    groups = heads.shape[1]
    if groups == num_heads:
        return heads
    return heads.repeat_interleave(num_heads // groups, dim=1)


def add_biases(*biases: Tensor | None) -> Tensor | None:
    """Return the sum of those that are there, or None."""
    there = [bias for bias in biases if bias is not None]
    return sum(there[1:], start=there[0]) if there else None


def hide(bias: Tensor | None, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the bias with the lowest number where ``hidden`` is true; both broadcast.

    It is far below a masked key's bias, so that even a window of padding outweighs what lies outside;
    -inf would make the fused kernel's gradients NaN there.
    """
    if bias is None:
        bias = torch.zeros((), dtype=dtype, device=hidden.device)
    return bias.masked_fill(hidden, torch.finfo(dtype).min)


def hide_later(bias: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    """Return the bias, with keys after their query hidden: [1 or B, 1 or H, T, S]."""
    places = torch.arange(max(query.shape[-2], key.shape[-2]), device=query.device)
    later = places[: key.shape[-2]] > places[: query.shape[-2], None]
    return hide(bias, later[None, None], query.dtype)


def attention_scores(
    query: Tensor, key: Tensor, bias: Tensor | None, *, soft_cap: float | None = None
) -> Tensor:
    """Return query key' / sqrt(K) + bias; ``soft_cap`` bounds the product smoothly, before the bias.

    Shapes: query [B, H, T, K], key [B, H, S, K], bias broadcastable to [B, H, T, S] or None;
    returns [B, H, T, S].
    """
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
    if soft_cap is not None:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    return scores if bias is None else scores + bias


def attention_weights(
    query: Tensor, key: Tensor, bias: Tensor | None, *, soft_cap: float | None = None
) -> Tensor:
    """Return the softmax over keys of `attention_scores`, [B, H, T, S]."""
    return attention_scores(query, key, bias, soft_cap=soft_cap).softmax(dim=-1)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    dropout: float = 0.0,
    *,
    causal: bool = False,
    soft_cap: float | None = None,
) -> Tensor:
    """Return the values averaged by their attention weights, [B, H, T, K].

    Shapes: query [B, H, T, K]; key and value [B, G, S, K] with G key heads that divide H; bias
    broadcastable to [B, H, T, S], or None. ``dropout`` is the probability to drop a weight now
    (0 in evaluation), ``causal`` hides keys after their query, ``soft_cap`` bounds the scores. A
    query without any real key averages all values in both forms, but the fused kernel's gradients
    are too large there: its bias swallows the scores it divides by.
    """
    key, value = repeat_heads(key, query.shape[1]), repeat_heads(value, query.shape[1])
    plain = soft_cap is not None or use_plain(query)
    if causal and (plain or bias is not None):
        bias, causal = hide_later(bias, query, key), False
    if plain:
        return attend_plain(query, key, value, bias, dropout, soft_cap=soft_cap)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout, is_causal=causal
    )


def attend_plain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    dropout: float,
    *,
    soft_cap: float | None = None,
) -> Tensor:
    """Compute `attend` with two products and a softmax; key and value have H heads."""
    weights = F.dropout(attention_weights(query, key, bias, soft_cap=soft_cap), dropout)
    return weights.to(value.dtype) @ value


def use_plain(query: Tensor) -> bool:
    """Whether `attend` takes the plain form; an exported graph is for any length and device.

    Measured with T 64 to 2048, forward and backward: bfloat16 4 to 7 times faster at T 64, twice at
    256, equal near 384 with K 32 and near 1024 with K 64; in float32 the fused kernel is the faster
    one at every length.
    """
    if torch.compiler.is_exporting() or query.is_cuda:
        return False
    longest = max(PLAIN_UP_TO, PLAIN_PER_FEATURE * query.shape[-1])
    return query.dtype in (torch.bfloat16, torch.float16) and query.shape[-2] <= longest
