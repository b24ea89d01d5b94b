"""Attention whose queries are scaled by a learnt number per feature."""

from __future__ import annotations

import math
from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.base import Role


class PerDimScaleAttention(MultiHeadAttention):
    """`MultiHeadAttention` with queries times ``softplus(scale) / log(2)``, one scale per feature of K.

    The Model Garden's PerDimScaleAttention. The scales are shared by all heads and start at 0, where
    the factor is 1. Queries are scaled last, after their norm and rope.

    Args:
        hidden_size: D.
        num_heads: H.
        **settings: see `MultiHeadAttention`.

    Raises:
        InputError: see `MultiHeadAttention`.
    """

    role: ClassVar[Role] = "attention"

    def __init__(self, hidden_size: int, num_heads: int, **settings: Unpack[AttentionSettings]) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        self.per_dim_scale = nn.Parameter(torch.zeros(self.head_size))

    @property
    def label(self) -> str:
        """Always ``perdim``."""
        return "perdim"

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        factor = F.softplus(self.per_dim_scale) / math.log(2)
        return super()._attend(query * factor.to(query.dtype), key, value, attention_mask)
