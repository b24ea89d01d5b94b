"""Sigmoid attention: every key is weighed by itself, and weights need not sum to one."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.attention.softmax import repeat_heads
from nas.blocks.base import Role


class SigmoidAttention(MultiHeadAttention):
    """`MultiHeadAttention` with weights ``sigmoid(score - log(n))`` in place of a softmax.

    Ramapuram et al. 2024 (arXiv 2409.04431). Differences: n is the number of keys that the query
    sees (there the sequence length), so that padding and later tokens change nothing; the plain
    form alone (there a fused kernel). A query that sees no real key gets zeros.

    Args:
        hidden_size, num_heads: see `MultiHeadAttention`, as are all others.
    """

    role: ClassVar[Role] = "attention"

    @property
    def label(self) -> str:
        """Always ``sigmoid``."""
        return "sigmoid"

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        seen = keys_seen(attention_mask, query, key, causal=self.causal)
        scores = self._scores(query, key, attention_mask) - seen.log().to(query.dtype)
        weights = F.dropout(torch.sigmoid(scores), self._dropout_now())
        return weights.to(value.dtype) @ repeat_heads(value, self.num_heads)


def keys_seen(attention_mask: Tensor | None, query: Tensor, key: Tensor, *, causal: bool) -> Tensor:
    """Return how many keys a query sees, at least 1: float32, broadcastable to [B, H, T, 1].

    Shapes: the mask None, [B, S], [B, T, S] or [B, 1, T, S]; query [B, H, T, K], key [B, G, S, K].
    """
    queries, keys = query.shape[2], key.shape[2]
    mask = query.new_ones(1, 1, 1, keys) if attention_mask is None else attention_mask
    if mask.dim() == 2:
        mask = mask[:, None]
    mask = (mask[:, None] if mask.dim() == 3 else mask).float()
    if causal:
        mask = mask.expand(-1, -1, queries, -1).tril()
    return mask.sum(dim=-1, keepdim=True).clamp(min=1)
