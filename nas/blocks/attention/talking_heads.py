"""Talking-heads attention: heads exchange their scores before the softmax, and their weights after it."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.softmax import attention_scores, hide_later, repeat_heads
from nas.blocks.base import Role


class TalkingHeadsAttention(MultiHeadAttention):
    """`MultiHeadAttention` with a learnt H x H mixture of heads on both sides of the softmax.

    Shazeer et al. 2020 (arXiv 2003.02436). Differences: as many heads before, inside and after the
    softmax; both mixtures start as the identity, so that the block starts as plain attention.

    Args:
        hidden_size: D.
        num_heads: H.
        **settings: see `MultiHeadAttention`; what mask and places add is added after the first mixture.

    Raises:
        InputError: see `MultiHeadAttention`.
    """

    role: ClassVar[Role] = "attention"

    def __init__(self, hidden_size: int, num_heads: int, **settings: Unpack[AttentionSettings]) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        self.before_softmax = nn.Parameter(torch.eye(num_heads))
        self.after_softmax = nn.Parameter(torch.eye(num_heads))

    @property
    def label(self) -> str:
        """Always ``talking``."""
        return "talking"

    def mix_flops(self, seq_length: int) -> float:
        """Return attention's cost and that of both mixtures."""
        return super().mix_flops(seq_length) + 4.0 * self.num_heads**2 * seq_length

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        bias = self._bias(query, key, attention_mask)
        if self.causal:
            bias = hide_later(bias, query, key)
        key, value = repeat_heads(key, self.num_heads), repeat_heads(value, self.num_heads)
        # Heads stand first: mixing them is then one product, without copies of T x S scores.
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        scores = _talk(attention_scores(query, key, None, soft_cap=self.soft_cap), self.before_softmax)
        if bias is not None:
            scores = scores + bias.transpose(0, 1)
        weights = _talk(scores.softmax(dim=-1), self.after_softmax)
        return (F.dropout(weights, self._dropout_now()).to(value.dtype) @ value).transpose(0, 1)


def _talk(heads: Tensor, mixture: Tensor) -> Tensor:
    """Mix [H, B, T, S] over heads by [H, H]: from head, to head."""
    return (mixture.to(heads.dtype).t() @ heads.flatten(1)).view_as(heads)
